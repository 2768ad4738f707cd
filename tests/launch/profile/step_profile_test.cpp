// The profile of steps: where their time is put, the work that is counted, the trace, and that
// recording changes no result.
#include "launch/profile/step_profile.hpp"

#include <map>
#include <set>
#include <string>

#include "core/backend/range.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "launch/profile/table.hpp"
#include "launch/profile/trace.hpp"
#include "launch/training/step.hpp"
#include "models/registry.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

constexpr Ceilings kCeilings{.flops_f32 = 100, .flops_bf16 = 200, .bytes = 10};

double seconds_of(const std::vector<ProfileRow>& rows) {
  double sum = 0;
  for (const ProfileRow& row : rows) sum += row.seconds;
  return sum;
}

const ProfileRow& row_named(const std::vector<ProfileRow>& rows, const std::string& name) {
  for (const ProfileRow& row : rows) {
    if (row.name == name) return row;
  }
  throw Error("no row " + name);
}

// Two steps of 10 s with a gap between them, in which something else runs.
Timeline two_steps() {
  Timeline t;
  t.threads = {"main", "communication"};
  const auto range = [&](const char* name, double begin, double end, int thread = 0) {
    t.spans.push_back({.name = name, .begin = begin, .end = end, .thread = thread});
  };
  const auto product = [&](double begin, double end, const char* size) {
    t.spans.push_back({.name = "matmul A B",
                       .begin = begin,
                       .end = end,
                       .is_call = true,
                       .work = {.flops = 100, .bytes = 1},
                       .size = size});
  };
  for (const double start : {0.0, 20.0}) {
    range("wait", start, start + 1);
    product(start + 2, start + 4, "1 x 1 x 1");
    product(start + 4, start + 5, "2 x 2 x 2");
    range("forward", start + 1, start + 6);
    t.spans.push_back({.name = "add",
                       .begin = start + 7,
                       .end = start + 9,
                       .is_call = true,
                       .dtype = DType::bf16,
                       .work = {.bytes = 10}});
    range("all-reduce", start + 7, start + 12, 1);
    range("step", start, start + 10);
    product(start + 11, start + 19, "3 x 3 x 3");  // of an evaluation
  }
  return t;
}

TEST(StepProfile, PutsEverySecondOfAStepInOnePlace) {
  const StepProfile p = profile_of(two_steps(), kCeilings);
  EXPECT_EQ(p.steps, 2);
  EXPECT_DOUBLE_EQ(p.seconds, 20);
  EXPECT_DOUBLE_EQ(seconds_of(p.calls) + seconds_of(p.outside), p.seconds);

  ASSERT_EQ(p.calls.size(), 2U);
  const ProfileRow& product = p.calls[0];  // the longest
  EXPECT_EQ(product.name, "matmul A B");
  EXPECT_EQ(product.calls, 4) << "what ran between the steps is none of theirs";
  EXPECT_DOUBLE_EQ(product.seconds, 6);
  EXPECT_DOUBLE_EQ(product.work.flops, 400);
  EXPECT_DOUBLE_EQ(product.seconds_at_ceiling, 4);
  ASSERT_EQ(product.sizes.size(), 2U);
  EXPECT_DOUBLE_EQ(row_named(p.calls, "add").seconds_at_ceiling, 2);

  EXPECT_DOUBLE_EQ(row_named(p.outside, "wait").seconds, 2);
  EXPECT_DOUBLE_EQ(row_named(p.outside, "forward").seconds, 4);
  EXPECT_DOUBLE_EQ(row_named(p.outside, "step").seconds, 4);
  EXPECT_DOUBLE_EQ(row_named(p.phases, "forward").seconds, 10);
  ASSERT_EQ(p.beside.size(), 1U);
  EXPECT_EQ(p.beside[0].name, "communication: all-reduce");
  EXPECT_DOUBLE_EQ(p.beside[0].seconds, 10);
}

TEST(StepProfile, OfNoStepIsEmpty) { EXPECT_EQ(profile_of({}, kCeilings).steps, 0); }

TEST(StepProfile, TableShowsOneStep) {
  std::string text;
  for (const std::string& line : lines_of(profile_of(two_steps(), kCeilings), kCeilings)) {
    text += line + "\n";
  }
  for (const char* part : {"matmul A B f32", "    1 x 1 x 1", "67%", "add bf16", "50.0%",
                           "communication: all-reduce", "10000.000"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST(StepProfile, JsonHasEveryRow) {
  double sum = 0;
  std::map<std::string, int> kinds;
  for (const Json& json : json_of(profile_of(two_steps(), kCeilings), kCeilings)) {
    const auto kind = json["profile"].get<std::string>();
    ++kinds[kind];
    if (kind == "call" || kind == "outside") sum += json["seconds"].get<double>();
  }
  EXPECT_DOUBLE_EQ(sum, 20);
  EXPECT_EQ(kinds["call"], 3);  // two sizes of the product, and the addition
  EXPECT_EQ(kinds["step"], 1);
}

TEST(Trace, HasARowForEachThreadAndAnEventForEachSpan) {
  const Timeline timeline = two_steps();
  const Json trace = parse_json(trace_of(timeline, 3, "rank 3 on here"), "trace");
  std::set<std::string> names;
  std::size_t complete = 0;
  for (const Json& e : trace["traceEvents"]) {
    EXPECT_EQ(e["pid"], 3);
    if (e["ph"] == "M") names.insert(e["args"]["name"].get<std::string>());
    if (e["ph"] != "X") continue;
    const Span& span = timeline.spans[complete++];
    EXPECT_EQ(e["name"].get<std::string>(), span.name);
    EXPECT_EQ(e["tid"], span.thread);
    EXPECT_DOUBLE_EQ(e["ts"].get<double>(), 1e6 * span.begin);
    EXPECT_DOUBLE_EQ(e["dur"].get<double>(), 1e6 * span.seconds());
  }
  EXPECT_EQ(complete, timeline.spans.size());
  EXPECT_EQ(names, (std::set<std::string>{"rank 3 on here", "main", "communication"}));
}

// A tiny BERT that learns masked words alone, and a micro-batch for it.
class ProfiledStep : public testing::Test {
 protected:
  static constexpr std::int64_t kTokens = 8, kSamples = 3, kMasked = 2, kLayers = 2;

  // The gradients of a step.
  std::vector<Tensor> take() {
    const Range range(kStepRange);
    step_.take(batches_, agree_on_step(*model_, batches_, false, mesh_), 3);
    return buckets_.gradients();
  }

  Timeline record() {
    start_recording();
    take();
    return stop_recording();
  }

  Mesh mesh_ = Mesh::single();
  std::unique_ptr<PretrainingModel> model_ = make_model({{"model_type", "bert"},
                                                         {"architectures", {"BertForMaskedLM"}},
                                                         {"vocab_size", 20},
                                                         {"hidden_size", 16},
                                                         {"num_hidden_layers", kLayers},
                                                         {"num_attention_heads", 2},
                                                         {"intermediate_size", 32},
                                                         {"max_position_embeddings", kTokens}},
                                                        mesh_, DType::f32, 1);
  GradientBuckets buckets_{parameters(*model_), mesh_};
  TrainingStep step_{*model_, buckets_, mesh_, {.seed = 5}};
  std::vector<Batch> batches_ = {
      make_batch(std::vector<Sample>(kSamples, Sample{.ids = {2, 7, 4, 9, 5, 6, 8, 3},
                                                      .type_ids = {0, 0, 0, 0, 1, 1, 1, 1},
                                                      .places = {2, 3},
                                                      .targets = {11, 12}}),
                 kTokens, 0, 0)};
};

TEST_F(ProfiledStep, HasTheBitsOfAnyOther) {
  const std::vector<Tensor> plain = take();
  start_recording();
  const std::vector<Tensor> recorded = take();
  EXPECT_FALSE(stop_recording().spans.empty());
  ASSERT_EQ(plain.size(), recorded.size());
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(same_bits(plain[i], recorded[i])) << i;
}

TEST_F(ProfiledStep, CountsTheProductsOfTheModelsFormula) {
  const StepProfile p = profile_of(record(), kCeilings);
  double products = 0, attention = 0;
  std::int64_t calls = 0;
  for (const ProfileRow& row : p.calls) {
    if (row.name == "attention forward") attention = row.work.flops;
    if (!row.name.starts_with("matmul")) continue;
    products += row.work.flops;
    calls += row.calls;
  }
  // The formula counts attention's backward as twice its forward.
  EXPECT_DOUBLE_EQ(products + 3 * attention, kSamples * model_->flops_per_sample(kTokens, kMasked));
  // qkv, out, up, down of each layer, transform and decoder: y, dx, dw.
  EXPECT_EQ(calls, 3 * (4 * kLayers + 2));
  EXPECT_DOUBLE_EQ(row_named(p.calls, "attention backward").work.flops, 2.5 * attention);
}

TEST_F(ProfiledStep, SumsToTheStep) {
  const StepProfile p = profile_of(record(), kCeilings);
  EXPECT_EQ(p.steps, 1);
  EXPECT_NEAR(seconds_of(p.calls) + seconds_of(p.outside), p.seconds, 1e-9 * p.seconds + 1e-12);
  for (const ProfileRow& row : p.outside) EXPECT_GE(row.seconds, 0) << row.name;
  for (const char* phase : {"forward", "backward", "gradient norm"}) {
    EXPECT_GT(row_named(p.phases, phase).seconds, 0) << phase;
  }
}

TEST_F(ProfiledStep, IsOnlyRecordedWhileThatIsAskedFor) {
  take();
  start_recording();
  EXPECT_TRUE(stop_recording().spans.empty());
  {
    const Range begun_before("outside");
    start_recording();
  }
  EXPECT_TRUE(stop_recording().spans.empty());
}

}  // namespace
}  // namespace weft
