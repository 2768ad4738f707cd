// Permutations are bijections, uniform over seeds.
#include "core/data/permutation.hpp"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace weft
