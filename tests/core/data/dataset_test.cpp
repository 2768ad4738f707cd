// Samples: their form, the statistics of their random choices, purity and order.
#include "core/data/dataset.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "core/data/token_file.hpp"
#include "tests/core/data/corpus.hpp"

namespace weft {
namespace {

using namespace testing_support;

constexpr std::int32_t kCls = 2, kSep = 3, kMask = 4;

// Documents of 1 to 12 sentences of 1 to 20 words, some of more pieces.
std::string varied_text(int documents) {
  std::string text;
  std::uint32_t state = 99;
  const auto draw = [&](std::uint32_t n) {
    return ((state = state * 1664525 + 1013904223) >> 16) % n;
  };
  for (int d = 0; d < documents; ++d) {
    for (std::uint32_t s = draw(12) + 1; s > 0; --s) {
      for (std::uint32_t w = draw(20) + 1; w > 0; --w) {
        text += std::to_string(draw(512) % 500);
        for (std::uint32_t p = draw(8); p > 5; --p) text += "+" + std::to_string(draw(256));
        text += " ";
      }
      text += "\n";
    }
    text += "\n";
  }
  return text;
}

std::vector<std::int32_t> unmasked(const Sample& s) {
  auto ids = s.ids;
  for (std::size_t i = 0; i < s.places.size(); ++i) {
    ids[static_cast<std::size_t>(s.places[i])] = s.targets[i];
  }
  return ids;
}

// The tokens of segment 0 or 1.
std::vector<std::int32_t> segment(const Sample& s, int which) {
  const auto ids = unmasked(s);
  std::vector<std::int32_t> part;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (s.type_ids[i] == which && ids[i] != kCls && ids[i] != kSep) part.push_back(ids[i]);
  }
  return part;
}

std::vector<std::int32_t> document_ids(const TokenFile& file, std::int64_t document) {
  std::vector<std::int32_t> ids;
  for (auto s = file.first_sentence(document); s < file.first_sentence(document + 1); ++s) {
    file.append(s, 0, file.length(s), 1005, ids);
  }
  return ids;
}

bool is_part_of(const std::vector<std::int32_t>& part, const std::vector<std::int32_t>& whole) {
  return std::search(whole.begin(), whole.end(), part.begin(), part.end()) != whole.end();
}

void expect_within(double count, double n, double p) {
  EXPECT_NEAR(count, n * p, 5 * std::sqrt(n * p * (1 - p)));
}

class DatasetTest : public ::testing::Test {
 protected:
  Dataset make(const ObjectiveOptions& objective, std::int64_t seq_length = 64,
               std::uint64_t seed = 42) const {
    return Dataset({.sources = {{prefix_, 1.0}}, .seq_length = seq_length}, objective,
                   FakeTokenizer(), seed);
  }

  ScratchDir dir_;
  std::filesystem::path prefix_ = make_tokens(dir_ / "x", varied_text(300));
  TokenFile file_{prefix_};
};

TEST_F(DatasetTest, PairsHaveTheFormOfBert) {
  const Dataset data = make({});
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const Sample s = data.sample(i);
    ASSERT_LE(s.ids.size(), 64U);
    ASSERT_EQ(s.ids.size(), s.type_ids.size());
    const auto ids = unmasked(s);
    EXPECT_EQ(ids.front(), kCls);
    EXPECT_EQ(ids.back(), kSep);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), kSep), 2);
    const auto first_sep = std::find(ids.begin(), ids.end(), kSep) - ids.begin();
    for (std::size_t k = 0; k < ids.size(); ++k) {
      EXPECT_EQ(s.type_ids[k], static_cast<std::ptrdiff_t>(k) > first_sep ? 1 : 0);
    }
    ASSERT_EQ(s.segments.size(), 2U);
    const auto a = segment(s, 0), b = segment(s, 1);
    EXPECT_FALSE(a.empty());
    EXPECT_FALSE(b.empty());
    EXPECT_TRUE(is_part_of(a, document_ids(file_, s.segments[0].document)));
    EXPECT_TRUE(is_part_of(b, document_ids(file_, s.segments[1].document)));
    for (const auto& origin : s.segments)
      EXPECT_EQ(file_.document_of(origin.sentence), origin.document);
    EXPECT_EQ(s.sentence_label == 0, s.segments[0].document == s.segments[1].document);
  }
}

TEST_F(DatasetTest, NextSentenceLabelsAreBalancedAndOtherDocumentsUniform) {
  const Dataset data = make({});
  constexpr int kSamples = 20000;
  int random = 0;
  std::map<std::int64_t, int> chosen;
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    const Sample s = data.sample(i);
    random += s.sentence_label;
    if (s.sentence_label == 1) ++chosen[s.segments[1].document];
  }
  expect_within(random, kSamples, 0.5);
  EXPECT_EQ(static_cast<std::int64_t>(chosen.size()), file_.documents());
  for (const auto& [document, count] : chosen) expect_within(count, random, 1.0 / 300);
}

TEST_F(DatasetTest, SwappedPairsStayTogether) {
  const Dataset data = make({.sentence = SentenceTask::sop});
  constexpr int kSamples = 5000;
  int swapped = 0, adjacent = 0;
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    const Sample s = data.sample(i);
    swapped += s.sentence_label;
    ASSERT_EQ(s.segments[0].document, s.segments[1].document);
    const auto& first = s.segments[s.sentence_label == 0 ? 0 : 1];
    const auto& second = s.segments[s.sentence_label == 0 ? 1 : 0];
    EXPECT_LE(first.sentence, second.sentence);
    auto both = segment(s, s.sentence_label);
    const auto tail = segment(s, 1 - s.sentence_label);
    both.insert(both.end(), tail.begin(), tail.end());
    adjacent += is_part_of(both, document_ids(file_, first.document));
  }
  expect_within(swapped, kSamples, 0.5);
  EXPECT_GT(adjacent, kSamples / 4);  // those not truncated where the parts meet
}

TEST_F(DatasetTest, MasksFollowEightyTenTen) {
  const Dataset data = make({});
  const std::int64_t vocabulary = FakeTokenizer().vocab_size();
  double masked = 0, kept = 0, replaced = 0, all = 0, places_share = 0;
  std::vector<int> by_place(31);  // of full samples, two places each
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const Sample s = data.sample(i);
    const auto n = static_cast<double>(s.ids.size());
    ASSERT_EQ(static_cast<double>(s.places.size()), std::max(1.0, std::round(n * 0.15)));
    ASSERT_TRUE(std::is_sorted(s.places.begin(), s.places.end(), std::less_equal<>()));
    for (std::size_t k = 0; k < s.places.size(); ++k) {
      const auto now = s.ids[static_cast<std::size_t>(s.places[k])];
      ASSERT_GE(s.targets[k], 5);
      ++all;
      if (now == kMask) {
        ++masked;
      } else if (now == s.targets[k]) {
        ++kept;
      } else {
        ASSERT_TRUE(now >= 5 && now < vocabulary);
        ++replaced;
      }
      if (n == 64) ++by_place[static_cast<std::size_t>(s.places[k] - 1) / 2];
    }
    places_share += static_cast<double>(s.places.size()) / n / 20000;
  }
  expect_within(masked, all, 0.8);
  expect_within(kept, all, 0.1 + 0.1 / 1000);  // a random token may be the old one
  expect_within(replaced, all, 0.1 - 0.1 / 1000);
  EXPECT_NEAR(places_share, 0.15, 0.01);
  const double mean = std::accumulate(by_place.begin(), by_place.end(), 0.0) / 31;
  EXPECT_GT(mean, 1000);
  for (const int count : by_place) EXPECT_NEAR(count, mean, 0.2 * mean);  // [SEP] takes some share
}

TEST_F(DatasetTest, WholeWordsAreMaskedTogether) {
  const Dataset data = make({.whole_word = true, .max_predictions = 7});
  const FakeTokenizer tokenizer;
  double share = 0;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const Sample s = data.sample(i);
    const auto ids = unmasked(s);
    ASSERT_LE(s.places.size(), 7U);
    const std::set<std::int32_t> places(s.places.begin(), s.places.end());
    for (std::size_t k = 1; k < ids.size(); ++k) {
      const bool inside = !tokenizer.starts_word(ids[k]) && !tokenizer.is_special(ids[k - 1]);
      if (!inside) continue;
      ASSERT_EQ(places.count(static_cast<std::int32_t>(k)),
                places.count(static_cast<std::int32_t>(k) - 1));
    }
    share += static_cast<double>(s.places.size());
  }
  EXPECT_GT(share / 3000, 5);
}

TEST_F(DatasetTest, WithoutPairsEveryEpochShowsEveryTokenOnce) {
  const Dataset data = make({.sentence = SentenceTask::none});
  const std::uint64_t n = data.samples_per_epoch();
  std::vector<std::vector<std::int64_t>> orders;
  for (const std::uint64_t epoch : {0, 1, 5}) {
    std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::int32_t>> parts;
    orders.emplace_back();
    for (std::uint64_t i = epoch * n; i < (epoch + 1) * n; ++i) {
      const Sample s = data.sample(i);
      ASSERT_EQ(s.segments.size(), 1U);
      EXPECT_EQ(s.sentence_label, -1);
      const auto ids = segment(s, 0);
      auto& part = parts[{s.segments[0].document, s.segments[0].sentence}];
      part.insert(part.end(), ids.begin(), ids.end());
      orders.back().push_back(s.segments[0].sentence);
    }
    std::vector<std::int32_t> all, expected;
    for (const auto& [origin, ids] : parts) all.insert(all.end(), ids.begin(), ids.end());
    for (std::int64_t d = 0; d < file_.documents(); ++d) {
      const auto ids = document_ids(file_, d);
      expected.insert(expected.end(), ids.begin(), ids.end());
    }
    EXPECT_EQ(all, expected);
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_NE(orders[1], orders[2]);
}

TEST_F(DatasetTest, ShortSequencesAreAsManyAsAsked) {
  const Dataset all = make({.short_sequence_probability = 1});
  const Dataset none = make({.short_sequence_probability = 0});
  std::set<std::size_t> lengths;
  int full = 0;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    lengths.insert(all.sample(i).ids.size());
    full += none.sample(i).ids.size() == 64;
  }
  EXPECT_EQ(*lengths.begin(), 5U);
  EXPECT_EQ(*lengths.rbegin(), 64U);
  EXPECT_GT(lengths.size(), 55U);
  EXPECT_GT(full, 1500);
}

TEST_F(DatasetTest, ASampleIsAFunctionOfSeedAndNumber) {
  const Dataset data = make({});
  constexpr std::uint64_t kSamples = 400;
  std::vector<Sample> forwards(kSamples), by_threads(kSamples);
  for (std::uint64_t i = 0; i < kSamples; ++i) forwards[i] = data.sample(i);
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t i = t; i < kSamples; i += 3) by_threads[i] = data.sample(i);
      });
    }
  }
  const Dataset again = make({}), other = make({}, 64, 43);
  int equal = 0;
  for (std::uint64_t k = kSamples; k-- > 0;) {
    const Sample s = again.sample(k);
    EXPECT_EQ(s.ids, forwards[k].ids);
    EXPECT_EQ(s.places, forwards[k].places);
    EXPECT_EQ(s.ids, by_threads[k].ids);
    EXPECT_EQ(s.targets, by_threads[k].targets);
    equal += s.ids == other.sample(k).ids;
  }
  EXPECT_LT(equal, 5);
  EXPECT_NO_THROW(data.sample(~std::uint64_t{0}));
}

TEST_F(DatasetTest, SourcesAreMixedByWeight) {
  const auto second = make_tokens(dir_ / "y", varied_text(20));
  const Dataset data({.sources = {{prefix_, 1.0}, {second, 3.0}}, .seq_length = 64}, {},
                     FakeTokenizer(), 1);
  int from_second = 0;
  for (std::uint64_t i = 0; i < 8000; ++i) {
    const Sample s = data.sample(i);
    EXPECT_EQ(s.segments[0].source, s.segments[1].source);
    from_second += s.segments[0].source == 1;
  }
  expect_within(from_second, 8000, 0.75);
  EXPECT_EQ(data.documents(), 320);
}

TEST(DatasetTokens, UnknownWordsAreNeverPredicted) {
  const ScratchDir dir;
  const Dataset data(
      {.sources = {{make_tokens(dir / "x", "x 1 x x\n2 x x\n\nx x x\nx\n")}}, .seq_length = 16},
      {.mask_probability = 1}, FakeTokenizer(), 1);
  for (std::uint64_t i = 0; i < 200; ++i) {
    for (const auto target : data.sample(i).targets) EXPECT_NE(target, 1);
  }
}

// One-sentence documents: the pair is cut inside the sentence, so that labels stay balanced.
TEST(DatasetTokens, OneSentenceDocumentsMakeBothKindsOfPairs) {
  const ScratchDir dir;
  const Dataset data({.sources = {{make_tokens(dir / "x", counting_text({{6}, {7}, {5}, {1}}))}},
                      .seq_length = 16},
                     {.short_sequence_probability = 0}, FakeTokenizer(), 1);
  EXPECT_EQ(data.samples_per_epoch(), 3U);
  int random = 0;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const Sample s = data.sample(i);
    random += s.sentence_label;
    const auto a = segment(s, 0), b = segment(s, 1);
    if (s.sentence_label == 0) {
      EXPECT_EQ(a.back() + 1, b.front());
    } else {
      EXPECT_NE(s.segments[0].document, s.segments[1].document);
    }
  }
  expect_within(random, 3000, 0.5);
}

TEST_F(DatasetTest, BadOptionsAndFilesAreNamed) {
  const auto error = [&](const ObjectiveOptions& o, const DataOptions& d) {
    return error_of([&] { Dataset(d, o, FakeTokenizer(), 1); });
  };
  const DataOptions good{.sources = {{prefix_}}, .seq_length = 64};
  EXPECT_EQ(error({}, {}), "no data: the list of token files is empty");
  EXPECT_EQ(error({.mask_probability = 0}, good), "mask_probability 0 is not in (0, 1]");
  EXPECT_EQ(error({.mask_probability = std::nan("")}, good),
            "mask_probability nan is not in (0, 1]");
  EXPECT_EQ(error({.max_predictions = -1}, good), "max_predictions -1 is negative");
  EXPECT_EQ(error({.short_sequence_probability = 2}, good),
            "short_sequence_probability 2 is not in [0, 1]");
  EXPECT_EQ(error({}, {.sources = {{prefix_}}, .seq_length = 4}),
            "seq_length 4 leaves no room for tokens between special tokens");
  EXPECT_EQ(error({}, {.sources = {{prefix_, 0}}, .seq_length = 64}),
            prefix_.string() + ": weight 0 is not a positive number");
  const auto lonely = make_tokens(dir_ / "one", "1 2\n3 4\n");
  EXPECT_EQ(
      error({}, {.sources = {{lonely}}, .seq_length = 64}),
      lonely.string() + ": next-sentence prediction needs at least two documents, this has one");
  EXPECT_EQ(error({.sentence = SentenceTask::sop}, {.sources = {{lonely}}, .seq_length = 64}),
            "no error");
  const auto single = make_tokens(dir_ / "single", "1\n\n2\n");
  EXPECT_EQ(error({}, {.sources = {{single}}, .seq_length = 64}),
            single.string() + ": no document has two tokens to make a pair of");
  const std::string other = error_of([&] { Dataset(good, {}, FakeTokenizer(600), 1); });
  EXPECT_EQ(other, prefix_.string() +
                       ".json: prepared with another tokenizer (fake-500, vocabulary of "
                       "1005) than this one (fake-600, 1205)");
}

}  // namespace
}  // namespace weft
