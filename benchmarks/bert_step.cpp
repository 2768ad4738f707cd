// One BERT pretraining step (masked words only), timed on demand: the Weft side of
// benchmarks/vs_pytorch.
//
// Says {"ready": ...} when warm; then every line "N" on stdin makes it run N steps and print one
// JSON object with their times; at the end of stdin it prints its peak memory.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/optim/optimizer.hpp"
#include "launch/process.hpp"
#include "launch/training/step.hpp"
#include "launch/version.hpp"
#include "models/registry.hpp"
#include "parallel/data_parallel.hpp"
#include "parallel/grad_norm.hpp"

namespace {

using namespace weft;

constexpr std::int32_t kFirstWord = 1000;  // below it are the special and the unused ids
constexpr std::int32_t kMaskId = 103;
constexpr std::int32_t kVocabulary = 30522;

struct Options {
  std::int64_t batch = 8, length = 128, masked = 154, layers = 12;
  int threads = 0, warmup = 3;
  DType precision = DType::f32;
};

Options parse(int argc, char** argv) {
  Options o;
  const std::map<std::string, std::int64_t*> sizes = {{"--batch", &o.batch},
                                                      {"--length", &o.length},
                                                      {"--masked", &o.masked},
                                                      {"--layers", &o.layers}};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw InputError(name + " needs a value");
    const std::string value = argv[++i];
    if (const auto size = sizes.find(name); size != sizes.end()) {
      *size->second = std::stoll(value);
    } else if (name == "--threads") {
      o.threads = std::stoi(value);
    } else if (name == "--warmup") {
      o.warmup = std::stoi(value);
    } else if (name == "--precision" && (value == "fp32" || value == "bf16")) {
      o.precision = value == "bf16" ? DType::bf16 : DType::f32;
    } else {
      throw InputError("unknown option " + name + " " + value,
                       "--batch, --length, --masked, --layers, --threads, --warmup N; "
                       "--precision fp32|bf16");
    }
  }
  return o;
}

Json model_keys(const Options& o) {
  Json keys;
  keys["model_type"] = "bert";
  keys["architectures"] = {"BertForMaskedLM"};
  keys["vocab_size"] = kVocabulary;
  keys["num_hidden_layers"] = o.layers;
  return keys;
}

Batch random_batch(const Options& o, std::mt19937_64& random) {
  const std::int64_t places = o.batch * o.length;
  Batch batch;
  batch.ids_BT = Tensor({o.batch, o.length}, DType::i32);
  batch.type_ids_BT = Tensor({o.batch, o.length}, DType::i32);
  batch.masked_places_N = Tensor({o.masked}, DType::i32);
  batch.masked_targets_N = Tensor({o.masked}, DType::i32);
  auto* ids = batch.ids_BT.data<std::int32_t>();
  std::fill_n(batch.type_ids_BT.data<std::int32_t>(), places, 0);
  std::uniform_int_distribution<std::int32_t> word(kFirstWord, kVocabulary - 1);
  std::generate_n(ids, places, [&] { return word(random); });

  std::vector<std::int32_t> all(static_cast<std::size_t>(places));
  std::iota(all.begin(), all.end(), 0);
  auto* chosen = batch.masked_places_N.data<std::int32_t>();
  std::sample(all.begin(), all.end(), chosen, o.masked, random);
  for (std::int64_t i = 0; i < o.masked; ++i) {
    batch.masked_targets_N.data<std::int32_t>()[i] = ids[chosen[i]];
    ids[chosen[i]] = kMaskId;
  }
  return batch;
}

class Step {
 public:
  explicit Step(const Options& o)
      : options_(o),
        mesh_(Mesh::single()),
        model_(make_model(model_keys(o), mesh_, o.precision, 42)),
        parameters_(parameters(*model_)),
        buckets_(parameters_, mesh_),
        optimizer_(parameters_, {}) {}

  struct Result {
    double seconds = 0, loss = 0;
  };

  Result operator()() {
    const std::vector<Batch> batches = {random_batch(options_, random_)};
    const auto start = std::chrono::steady_clock::now();
    const StepFacts facts = agree_on_step(*model_, batches, false, mesh_);
    const auto totals =
        accumulate_gradients(*model_, batches, facts, {.seed = 42, .step = updates_}, buckets_);
    const double norm = global_grad_norm(buckets_, parameters_, mesh_);
    optimizer_.step(buckets_.gradients(),
                    {.lr = 1e-4, .grad_scale = std::min(1.0, 1 / norm), .update = ++updates_});
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return {.seconds = taken.count(), .loss = total_loss(totals)};
  }

  std::int64_t size() const {
    std::int64_t n = 0;
    for (const NamedParameter& p : parameters_) n += p.parameter->full.numel();
    return n;
  }

 private:
  Options options_;
  Mesh mesh_;
  std::unique_ptr<PretrainingModel> model_;
  std::vector<NamedParameter> parameters_;
  GradientBuckets buckets_;
  Optimizer optimizer_;
  std::mt19937_64 random_{1};
  std::int64_t updates_ = 0;
};

void say(const Json& json) { std::cout << json.dump() << std::endl; }

void run(const Options& options) {
  set_threads(options.threads);
  Step step(options);
  double loss = 0;
  for (int i = 0; i < options.warmup; ++i) loss = step().loss;
  const std::string version = version_text();
  say({{"ready", version.substr(0, version.find('\n'))},
       {"parameters", step.size()},
       {"loss", loss}});

  std::string line;
  while (std::getline(std::cin, line)) {
    Json answer;
    answer["seconds"] = Json::array();
    for (int i = std::stoi(line); i > 0; --i) {
      const Step::Result result = step();
      answer["seconds"].push_back(result.seconds);
      answer["loss"] = result.loss;
    }
    say(answer);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  say({{"peak_rss", std::int64_t{1024} * usage.ru_maxrss}});
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
