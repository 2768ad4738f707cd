// Permutations are bijections; mixtures give each source its share and each of its samples once.
#include "core/data/permutation.hpp"

#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "core/data/mixture.hpp"

namespace weft {
namespace {

TEST(Permutation, IsABijectionForEverySmallSize) {
  for (std::uint64_t n = 1; n < 300; ++n) {
    const Permutation p(n, 7, Purpose::chunk_order, 0, n);
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < n; ++i) {
      EXPECT_LT(p(i), n);
      seen.insert(p(i));
    }
    EXPECT_EQ(seen.size(), n);
  }
}

TEST(Permutation, StaysBelowAHugeSizeAndDoesNotRepeat) {
  const std::uint64_t n = (std::uint64_t{1} << 61) + 12345;
  const Permutation p(n, 1, Purpose::chunk_order, 0, 0);
  std::set<std::uint64_t> seen;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    EXPECT_LT(p(n - 1 - i), n);
    seen.insert(p(n - 1 - i));
  }
  EXPECT_EQ(seen.size(), 2000U);
}

TEST(Permutation, DependsOnSeedStreamAndEpoch) {
  const std::uint64_t n = 1000;
  const Permutation base(n, 1, Purpose::chunk_order, 0, 0);
  for (const Permutation& other :
       {Permutation(n, 2, Purpose::chunk_order, 0, 0),
        Permutation(n, 1, Purpose::chunk_order, 1, 0),
        Permutation(n, 1, Purpose::chunk_order, 0, 1),
        Permutation(n, 1, Purpose::chunk_order, 0, std::uint64_t{1} << 32)}) {
    int equal = 0;
    for (std::uint64_t i = 0; i < n; ++i) equal += base(i) == other(i);
    EXPECT_LT(equal, 10);  // a random permutation has one fixed place on average
  }
}

// Every value is about equally likely at every place, for all small seeds.
TEST(Permutation, IsUniformOverSeeds) {
  constexpr int kSeeds = 6000, kSize = 6;
  int counts[kSize][kSize] = {};
  for (int seed = 0; seed < kSeeds; ++seed) {
    const Permutation p(kSize, static_cast<std::uint64_t>(seed), Purpose::chunk_order, 0, 0);
    for (int i = 0; i < kSize; ++i) ++counts[i][p(static_cast<std::uint64_t>(i))];
  }
  for (const auto& row : counts) {
    for (const int count : row)
      EXPECT_NEAR(count, kSeeds / kSize, 5 * std::sqrt(kSeeds / 6.0 * 5 / 6));
  }
}

TEST(RandomStream, BelowIsUniformAndCoinsAreFair) {
  RandomStream random(3, Purpose::pair, 0);
  int counts[7] = {}, heads = 0, rare = 0;
  for (int i = 0; i < 70000; ++i) {
    ++counts[random.below(7)];
    heads += random.coin();
    rare += random.chance(0.01);
  }
  for (const int count : counts) EXPECT_NEAR(count, 10000, 5 * std::sqrt(10000 * 6 / 7.0));
  EXPECT_NEAR(heads, 35000, 5 * std::sqrt(70000 / 4.0));
  EXPECT_NEAR(rare, 700, 5 * std::sqrt(700 * 0.99));
  EXPECT_TRUE(random.chance(1.0));
  EXPECT_FALSE(random.chance(0.0));
}

TEST(RandomStream, IndicesThatDifferInTheUpperHalfGiveOtherNumbers) {
  RandomStream a(3, Purpose::mask, 5), b(3, Purpose::mask, 5 + (std::uint64_t{1} << 32));
  EXPECT_NE(a.next(), b.next());
}

TEST(Mixture, OneSourceTakesAll) {
  const Mixture m({0.25}, 1);
  EXPECT_EQ(m(123456789).source, 0U);
  EXPECT_EQ(m(123456789).index, 123456789U);
}

TEST(Mixture, WholeBlocksHaveExactSharesAndUseEverySampleOnce) {
  const std::vector<double> weights = {3, 1, 1e-9, 2.5};
  const Mixture m(weights, 42);
  std::vector<std::set<std::uint64_t>> seen(weights.size());
  for (std::uint64_t i = 0; i < 2 * Mixture::kBlock; ++i) {
    const auto pick = m(i);
    EXPECT_TRUE(seen[pick.source].insert(pick.index).second);
  }
  std::uint64_t all = 0;
  for (std::size_t s = 0; s < weights.size(); ++s) {
    EXPECT_EQ(seen[s].size(), 2 * m.slots(s));
    EXPECT_EQ(*seen[s].rbegin(), 2 * m.slots(s) - 1);  // so they are 0 ... without a hole
    all += m.slots(s);
    if (s == 2) continue;
    EXPECT_NEAR(static_cast<double>(m.slots(s)), weights[s] / 6.5 * Mixture::kBlock, 1.01);
  }
  EXPECT_EQ(all, Mixture::kBlock);
  EXPECT_EQ(m.slots(2), 1U);
}

TEST(Mixture, SourcesAreSpreadOverABlock) {
  const Mixture m({1, 3}, 9);
  int first = 0;
  for (std::uint64_t i = 0; i < 4000; ++i) first += m(i).source == 0;
  EXPECT_NEAR(first, 1000, 5 * std::sqrt(4000 * 0.25 * 0.75));
}

}  // namespace
}  // namespace weft
