// Elementary functions without branches, shared by CPU and CUDA. On a CPU a plain loop over an
// array that calls them becomes SIMD; on a GPU they are about a dozen multiply-adds and one fast
// division, or the GPU's own instruction.
//
// The coefficients are minimax fits of our own (fit_fast_math.py); the errors stated are the
// largest over all floats tried on a CPU in tests/core/backend/fast_math_test.cpp. A GPU divides to
// 2 ulp here, and its exp is good to 2 + 1.2 |x| ulp (CUDA Programming Guide, intrinsic functions).
#pragma once

#include <bit>
#include <cstdint>

#include "core/base/host_device.hpp"

namespace weft {

// x / y for 1 <= |y| < 2^126: a GPU takes two instructions for it, and ten to round it right.
WEFT_HOST_DEVICE inline float quotient(float x, float y) {
#ifdef __CUDA_ARCH__
  return __fdividef(x, y);
#else
  return x / y;
#endif
}

// e^x, relative error below 2e-7 (subnormal results: half their last bit more). -inf gives 0,
// above 88.73 gives +inf, NaN gives NaN.
WEFT_HOST_DEVICE inline float fast_exp(float x) {
#ifdef __CUDA_ARCH__
  return __expf(x);
#else
  x = x < -104.0F ? -104.0F : x;
  x = x > 89.0F ? 89.0F : x;
  // x = n ln 2 + r: adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
  constexpr float kRound = 0x1.8p23F;
  const float shifted = x * 0x1.715476p0F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F;
  float p = 0.0013814597623422742F;
  p = p * r + 0.0083687175065279F;
  p = p * r + 0.04166838899254799F;
  p = p * r + 0.1666652113199234F;
  p = p * r + 0.4999999403953552F;
  p = p * (r * r) + r + 1.0F;
  // 2^n as two factors: n reaches 128 upwards and the subnormals downwards.
  const std::int32_t exponent =
      std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound);
  const std::int32_t half = exponent >> 1;
  const auto power = [](std::int32_t e) { return std::bit_cast<float>((e + 127) << 23); };
  return p * power(half) * power(exponent - half);
#endif
}

// The fits below may round to just beyond 1, where a function's values do not go.
WEFT_HOST_DEVICE inline float clamp_to_one(float y) {
  y = y < -1.0F ? -1.0F : y;
  return y > 1.0F ? 1.0F : y;
}

// y, but exactly -1 or 1 where x is at a limit: 1 + erf(x) is then 0 and no multiple of rounding.
WEFT_HOST_DEVICE inline float saturate(float y, float x, float limit) {
  y = x <= -limit ? -1.0F : y;
  return x >= limit ? 1.0F : y;
}

// erf(x), relative error below 4e-7.
WEFT_HOST_DEVICE inline float fast_erf(float x) {
  constexpr float kLimit = 3.92F;  // beyond, erf is 1 to the last bit
  x = x < -kLimit ? -kLimit : x;
  x = x > kLimit ? kLimit : x;
  const float s = x * x;
  float p = 2.0500879145401996e-06F;
  p = p * s + 0.00028488310636021197F;
  p = p * s + 0.0037656251806765795F;
  p = p * s + 0.052748747169971466F;
  p = p * s + 0.19040663540363312F;
  p = p * s + 1.1283791065216064F;
  float q = 3.809174449997954e-05F;
  q = q * s + 0.0011625379556789994F;
  q = q * s + 0.014969231560826302F;
  q = q * s + 0.11410918086767197F;
  q = q * s + 0.5020762085914612F;
  q = q * s + 1.0F;
  return saturate(clamp_to_one(quotient(x * p, q)), x, kLimit);
}

// tanh(x), relative error below 4e-7.
WEFT_HOST_DEVICE inline float fast_tanh(float x) {
  constexpr float kLimit = 9.02F;  // beyond, tanh is 1 to the last bit
  x = x < -kLimit ? -kLimit : x;
  x = x > kLimit ? kLimit : x;
  const float s = x * x;
  float p = 1.3318973479670149e-08F;
  p = p * s + 2.058340578514617e-05F;
  p = p * s + 0.0034940296318382025F;
  p = p * s + 0.13379713892936707F;
  p = p * s + 1.0F;
  float q = 7.761977940390352e-07F;
  q = q * s + 0.00032830852433107793F;
  q = q * s + 0.02587105520069599F;
  q = q * s + 0.46713030338287354F;
  q = q * s + 1.0F;
  return saturate(clamp_to_one(quotient(x * p, q)), x, kLimit);
}

// The derivative of gelu(x) = x Phi(x), Phi(x) + x phi(x): error below 5e-7. One rational function
// is half the work of an erf and an exp.
WEFT_HOST_DEVICE inline float fast_gelu_slope(float x) {
  x = x < -5.6F ? -5.6F : x;  // beyond, it is 0 or 1 to 5e-7
  x = x > 5.6F ? 5.6F : x;
  const float s = x * x;
  float p = 1.9216868452076596e-07F;
  p = p * s + 3.589938933146186e-05F;
  p = p * s + 1.9749695638893172e-05F;
  p = p * s + 0.014226078055799007F;
  p = p * s - 0.030975433066487312F;
  p = p * s + 0.7978853583335876F;
  float q = 8.928216630010866e-06F;
  q = q * s + 0.00019205156422685832F;
  q = q * s + 0.003522636601701379F;
  q = q * s + 0.04098372161388397F;
  q = q * s + 0.29451948404312134F;
  q = q * s + 1.0F;
  return 0.5F + quotient(x * p, q);
}

}  // namespace weft
