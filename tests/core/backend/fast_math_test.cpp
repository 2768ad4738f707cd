// Elementary functions, as a CPU computes them, against fp64.
#include "core/backend/fast_math.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Largest relative error over every 97th float of [low, high] of both signs.
template <class Fast, class Exact>
double worst_error(float low, float high, Fast fast, Exact exact) {
  double worst = 0;
  const auto first = std::bit_cast<std::uint32_t>(low);
  const auto last = std::bit_cast<std::uint32_t>(high);
  for (std::uint32_t u = first; u <= last; u += 97) {
    for (const float sign : {1.0F, -1.0F}) {
      const float x = sign * std::bit_cast<float>(u);
      const double y = exact(static_cast<double>(x));
      worst = std::max(worst, std::abs(static_cast<double>(fast(x)) - y) / std::abs(y));
    }
  }
  return worst;
}

TEST(FastMathOnCpu, ExpIsExactToItsStatedError) {
  const double worst =
      worst_error(1e-9F, 87.3F, fast_exp, static_cast<double (*)(double)>(std::exp));
  EXPECT_LT(worst, 2e-7);
  EXPECT_EQ(fast_exp(0.0F), 1.0F);
}

TEST(FastMathOnCpu, ExpAtTheEnds) {
  EXPECT_EQ(fast_exp(-kInf), 0.0F);
  EXPECT_EQ(fast_exp(-1e30F), 0.0F);
  EXPECT_EQ(fast_exp(kInf), kInf);
  EXPECT_EQ(fast_exp(88.8F), kInf);
  EXPECT_LT(fast_exp(88.7F), kInf);
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_NEAR(static_cast<double>(fast_exp(-100.0F)), std::exp(-100.0), 0x1p-149);  // subnormal
}

TEST(FastMathOnCpu, ErfIsExactToItsStatedError) {
  EXPECT_LT(worst_error(1e-9F, 8.0F, fast_erf, static_cast<double (*)(double)>(std::erf)), 4e-7);
  EXPECT_EQ(fast_erf(0.0F), 0.0F);
  EXPECT_EQ(fast_erf(kInf), 1.0F);
  EXPECT_EQ(fast_erf(-kInf), -1.0F);
  EXPECT_TRUE(std::isnan(fast_erf(std::numeric_limits<float>::quiet_NaN())));
}

TEST(FastMathOnCpu, TanhIsExactToItsStatedError) {
  EXPECT_LT(worst_error(1e-9F, 20.0F, fast_tanh, static_cast<double (*)(double)>(std::tanh)), 4e-7);
  EXPECT_EQ(fast_tanh(0.0F), 0.0F);
  EXPECT_EQ(fast_tanh(kInf), 1.0F);
  EXPECT_EQ(fast_tanh(-kInf), -1.0F);
  EXPECT_TRUE(std::isnan(fast_tanh(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace weft
