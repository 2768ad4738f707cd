// Rows of Philox numbers against single ones.
#include "core/backend/cpu/philox_row.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(PhiloxRowOnCpu, EqualsSingleNumbers) {
  const PhiloxKey key{.seed = 0x1234567890ABCDEFU, .step = 7, .place = 3};
  // The last start makes the counter's low word wrap within the row.
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{6},
                                    std::uint64_t{127}, (std::uint64_t{1} << 34) - 58}) {
    for (const std::int64_t n : {0, 1, 3, 31, 32, 64, 129, 300}) {
      std::vector<std::uint32_t> bits(static_cast<std::size_t>(n) + 1, 42);
      philox_row(bits.data(), key, first, n);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto k = static_cast<std::size_t>(i);
        ASSERT_EQ(bits[k], philox_u32(key, first + k)) << "first " << first << " n " << n;
      }
      EXPECT_EQ(bits.back(), 42U) << "wrote past its end";
    }
  }
}

}  // namespace
}  // namespace weft
