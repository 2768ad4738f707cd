// Streams of random numbers: uniform in any range, and apart from each other.
#include "core/data/random.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace weft {
namespace {

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

TEST(RandomStream, RangesMayExceed32Bits) {
  RandomStream random(3, Purpose::pair, 0);
  const std::uint64_t n = 3 * (std::uint64_t{1} << 40);
  int thirds[3] = {};
  for (int i = 0; i < 30000; ++i) {
    const std::uint64_t x = random.below(n);
    ASSERT_LT(x, n);
    ++thirds[x >> 40];
  }
  for (const int count : thirds) EXPECT_NEAR(count, 10000, 5 * std::sqrt(30000 * 2 / 9.0));
  EXPECT_LT(random.below(std::uint64_t{1} << 32), std::uint64_t{1} << 32);
}

}  // namespace
}  // namespace weft
