// Samples against those that make_reference_samples.py computes without any code of Weft.
#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "core/data/dataset.hpp"
#include "tests/core/data/corpus.hpp"

namespace weft {
namespace {

using namespace testing_support;
using Ints = std::vector<std::int32_t>;

ObjectiveOptions objective_of(const Json& o) {
  ObjectiveOptions options;
  const auto task = o.at("sentence").get<std::string>();
  options.sentence = task == "nsp"   ? SentenceTask::nsp
                     : task == "sop" ? SentenceTask::sop
                                     : SentenceTask::none;
  options.mask_probability = o.at("mask_probability").get<double>();
  options.whole_word = o.at("whole_word").get<bool>();
  options.max_predictions = o.at("max_predictions").get<std::int64_t>();
  options.short_sequence_probability = o.at("short_sequence_probability").get<double>();
  return options;
}

TEST(DatasetReference, SamplesAreThoseOfAnIndependentComputation) {
  const Json reference = read_json(std::string(WEFT_TEST_DIR) + "/data/samples/reference.json");
  const ScratchDir dir;
  std::vector<std::filesystem::path> prefixes;
  for (const Json& text : reference.at("corpora")) {
    const auto prefix = dir / std::to_string(prefixes.size());
    prefixes.push_back(make_tokens(prefix, text.get<std::string>()));
  }
  std::size_t compared = 0;
  for (const Json& c : reference.at("cases")) {
    DataOptions data{.sources = {},
                     .seq_length = c.at("options").at("seq_length").get<std::int64_t>()};
    for (const Json& weight : c.at("weights")) {
      data.sources.push_back({prefixes[data.sources.size()], weight.get<double>()});
    }
    const Dataset dataset(data, objective_of(c.at("options")), FakeTokenizer(),
                          c.at("seed").get<std::uint64_t>());
    for (const Json& expected : c.at("samples")) {
      const Sample s = dataset.sample(expected.at("i").get<std::uint64_t>());
      SCOPED_TRACE(expected.dump());
      EXPECT_EQ(s.ids, expected.at("ids").get<Ints>());
      EXPECT_EQ(s.type_ids, expected.at("type_ids").get<Ints>());
      EXPECT_EQ(s.places, expected.at("places").get<Ints>());
      EXPECT_EQ(s.targets, expected.at("targets").get<Ints>());
      EXPECT_EQ(s.sentence_label, expected.at("label").get<std::int32_t>());
      std::vector<Ints> origins;
      for (const SegmentOrigin& o : s.segments) {
        origins.push_back({static_cast<std::int32_t>(o.source),
                           static_cast<std::int32_t>(o.document),
                           static_cast<std::int32_t>(o.sentence)});
      }
      EXPECT_EQ(origins, expected.at("segments").get<std::vector<Ints>>());
      ++compared;
    }
  }
  EXPECT_EQ(compared, 88U);
}

}  // namespace
}  // namespace weft
