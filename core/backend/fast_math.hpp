// The elementary functions of fast_math.inc for one float, on CPUs and GPUs. On a CPU a plain loop
// over an array that calls them becomes SIMD; on a GPU they are about a dozen multiply-adds and one
// fast division, or the GPU's own instruction.
#pragma once

#include <bit>
#include <cstdint>

#include "core/base/host_device.hpp"

namespace weft {

namespace scalar {

using Float = float;

constexpr float kRound = 0x1.8p23F;  // added to a number below 2^22, it leaves an integer

// NaN stays NaN in all of these.
WEFT_HOST_DEVICE inline float at_least(float x, float low) { return x < low ? low : x; }
WEFT_HOST_DEVICE inline float at_most(float x, float high) { return x > high ? high : x; }

WEFT_HOST_DEVICE inline float magnitude(float x) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFFU);
}
// y >= 0 with the sign of x.
WEFT_HOST_DEVICE inline float with_sign_of(float y, float x) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(y) |
                              (std::bit_cast<std::uint32_t>(x) & 0x80000000U));
}

// x / y for 1 <= |y| < 2^126: a GPU takes two instructions for it, and ten to round it right.
WEFT_HOST_DEVICE inline float quotient(float x, float y) {
#ifdef __CUDA_ARCH__
  return __fdividef(x, y);
#else
  return x / y;
#endif
}

// A fit's value y where a function tends to 1: the fit may round to just beyond it. And exactly 1
// where |x| has reached the limit, so that 1 - erf(x) is 0 there and no multiple of rounding.
WEFT_HOST_DEVICE inline float saturated(float y, float magnitude_of_x, float limit) {
  return magnitude_of_x >= limit ? 1.0F : at_most(y, 1.0F);
}

// p 2^n, with n as n + kRound holds it in its low bits. As two factors: n reaches 128 upwards and
// the subnormals downwards.
WEFT_HOST_DEVICE inline float times_power_of_two(float p, float n_shifted) {
  const std::int32_t n =
      std::bit_cast<std::int32_t>(n_shifted) - std::bit_cast<std::int32_t>(kRound);
  const std::int32_t half = n >> 1;
  const auto power = [](std::int32_t e) { return std::bit_cast<float>((e + 127) << 23); };
  return p * power(half) * power(n - half);
}

#include "core/backend/fast_math.inc"

}  // namespace scalar

using scalar::fast_erf, scalar::fast_exp, scalar::fast_gelu_slope, scalar::fast_tanh;
using scalar::quotient;

}  // namespace weft
