// Mixtures give each source its share and each of its samples once.
#include "core/data/mixture.hpp"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace weft {
namespace {

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
