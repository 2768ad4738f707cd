// Batches, and that every layout of ranks and micro-batches sees the same global batch.
#include "core/data/loader.hpp"

#include <gtest/gtest.h>

#include "core/data/token_file.hpp"
#include "tests/core/data/corpus.hpp"

namespace weft {
namespace {

using namespace testing_support;

template <class T>
std::vector<T> values(const Tensor& t) {
  return {t.data<T>(), t.data<T>() + t.numel()};
}

TEST(MakeBatch, PadsAndCountsPlacesThroughTheBatch) {
  const Sample a{.ids = {2, 4, 9, 3, 8, 3},
                 .type_ids = {0, 0, 0, 0, 1, 1},
                 .places = {1, 4},
                 .targets = {7, 8},
                 .sentence_label = 1};
  const Sample b{.ids = {2, 6, 3, 4, 3},
                 .type_ids = {0, 0, 0, 1, 1},
                 .places = {3},
                 .targets = {5},
                 .sentence_label = 0};
  const std::vector<Sample> samples = {a, b};
  const Batch batch = make_batch(samples, 6, 99, 12);
  EXPECT_EQ(batch.first_sample, 12);
  EXPECT_EQ(batch.ids_BT.shape(), (Shape{2, 6}));
  using Ints = std::vector<std::int32_t>;
  EXPECT_EQ(values<std::int32_t>(batch.ids_BT), (Ints{2, 4, 9, 3, 8, 3, 2, 6, 3, 4, 3, 99}));
  EXPECT_EQ(values<std::int32_t>(batch.type_ids_BT), (Ints{0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0}));
  EXPECT_EQ(values<std::uint8_t>(batch.key_mask_BT),
            (std::vector<std::uint8_t>{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}));
  EXPECT_TRUE(batch.padding_is_last);
  EXPECT_EQ(values<std::int32_t>(batch.masked_places_N), (Ints{1, 4, 9}));
  EXPECT_EQ(values<std::int32_t>(batch.masked_targets_N), (Ints{7, 8, 5}));
  EXPECT_EQ(values<std::int32_t>(batch.sentence_labels_B), (Ints{1, 0}));
}

TEST(MakeBatch, LeavesOutWhatIsNotNeeded) {
  const std::vector<Sample> samples = {{.ids = {2, 9, 3}, .type_ids = {0, 0, 0}}};
  const Batch batch = make_batch(samples, 3, 0, 0);
  EXPECT_FALSE(batch.key_mask_BT);
  EXPECT_FALSE(batch.sentence_labels_B);
  EXPECT_EQ(batch.masked_places_N.numel(), 0);
}

TEST(MakeBatch, FillsUpToFixedShapes) {
  const std::vector<Sample> samples = {
      {.ids = {2, 9, 3}, .type_ids = {0, 0, 0}, .places = {1}, .targets = {7}}};
  const Batch batch = make_batch(samples, 3, 0, 0, 3);
  using Ints = std::vector<std::int32_t>;
  EXPECT_EQ(values<std::int32_t>(batch.masked_places_N), (Ints{1, -1, -1}));
  EXPECT_EQ(values<std::int32_t>(batch.masked_targets_N), (Ints{7, -1, -1}));
  EXPECT_EQ(values<std::uint8_t>(batch.key_mask_BT), (std::vector<std::uint8_t>{1, 1, 1}));
}

class LoaderTest : public ::testing::Test {
 protected:
  ScratchDir dir_;
  Dataset data_{{.sources = {{make_tokens(dir_ / "x",
                                          counting_text({{5, 9, 4}, {12, 3}, {8, 8, 8}, {2, 2}}))}},
                 .seq_length = 16},
                {},
                FakeTokenizer(),
                5};
};

// One string per sample: ids, types, mask, predictions with their ids, label.
void describe(const Batch& batch, std::vector<std::string>& rows) {
  std::size_t k = 0;
  const auto places = values<std::int32_t>(batch.masked_places_N);
  for (std::int64_t b = 0; b < batch.size(); ++b) {
    std::string row;
    for (std::int64_t t = 0; t < batch.length(); ++t) {
      const std::int64_t at = b * batch.length() + t;
      row += std::to_string(batch.ids_BT.data<std::int32_t>()[at]) + "/" +
             std::to_string(batch.type_ids_BT.data<std::int32_t>()[at]);
      const bool real = !batch.key_mask_BT || batch.key_mask_BT.data<std::uint8_t>()[at] != 0;
      row += real ? "" : "-";
      if (k < places.size() && places[k] == at) {
        row += "=" + std::to_string(batch.masked_targets_N.data<std::int32_t>()[k++]);
      }
      row += " ";
    }
    EXPECT_EQ(static_cast<std::int64_t>(rows.size()), batch.first_sample + b);
    rows.push_back(row + std::to_string(batch.sentence_labels_B.data<std::int32_t>()[b]));
  }
  EXPECT_EQ(k, places.size());
}

TEST_F(LoaderTest, EveryLayoutSeesTheSameGlobalBatch) {
  for (const std::int64_t step : {0, 7}) {
    std::vector<std::string> single;
    for (const Batch& b : step_batches(data_, {.global_batch = 12, .micro_batch = 12}, step)) {
      describe(b, single);
    }
    ASSERT_EQ(single.size(), 12U);
    for (const auto& [ranks, micro] :
         std::vector<std::pair<int, int>>{{1, 4}, {2, 3}, {3, 2}, {4, 1}, {12, 1}}) {
      std::vector<std::string> rows;
      for (int r = 0; r < ranks; ++r) {
        const auto batches = step_batches(
            data_, {.global_batch = 12, .micro_batch = micro, .data_rank = r, .data_ranks = ranks},
            step);
        EXPECT_EQ(static_cast<int>(batches.size()), 12 / ranks / micro);
        for (const Batch& b : batches) describe(b, rows);
      }
      EXPECT_EQ(rows, single);
    }
  }
}

TEST_F(LoaderTest, YieldsStepAfterStepFromAnyStart) {
  const LoaderOptions options{.global_batch = 6, .micro_batch = 3, .first_sample = 1000001};
  Loader loader(data_, options);
  for (std::int64_t step = 0; step < 20; ++step) {
    std::vector<std::string> got, expected;
    for (const Batch& b : loader.next()) describe(b, got);
    for (const Batch& b : step_batches(data_, options, options.first_sample + 6 * step)) {
      describe(b, expected);
    }
    EXPECT_EQ(got, expected);
  }
}

TEST_F(LoaderTest, RefusesBatchesThatDoNotDivide) {
  EXPECT_EQ(
      error_of([&] { Loader(data_, {.global_batch = 6, .micro_batch = 2, .data_ranks = 2}); }),
      "a global batch of 6 cannot be cut into micro-batches of 2 on 2 data ranks");
  EXPECT_NE(error_of([&] { Loader(data_, {.global_batch = 6, .micro_batch = 0}); }), "no error");
}

TEST(LoaderErrors, ReachTheCallerInTheirStep) {
  const ScratchDir dir;
  const auto prefix = make_tokens(dir / "x", counting_text({{5, 9}, {12, 3}}));
  std::filesystem::remove(token_file_path(prefix, ".json"));
  Dataset data({.sources = {{prefix}}, .seq_length = 16}, {}, FakeTokenizer(5), 5);
  Loader loader(data, {.global_batch = 4, .micro_batch = 2});
  for (int again = 0; again < 2; ++again) {
    const std::string message = error_of([&] { loader.next(); });
    EXPECT_NE(message.find("is outside the vocabulary of 15"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace weft
