// Host-side tensors for tests: random values, conversion, comparison. Nothing here calls a backend.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/philox.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// The elements of a tensor of any dtype.
inline std::vector<float> to_vector(const Tensor& x) {
  std::vector<float> values(static_cast<std::size_t>(x.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    switch (x.dtype()) {
      case DType::f32:
        values[i] = x.data<float>()[i];
        break;
      case DType::bf16:
        values[i] = static_cast<float>(x.data<bfloat16>()[i]);
        break;
      case DType::f16:
        values[i] = static_cast<float>(x.data<float16>()[i]);
        break;
      case DType::i32:
        values[i] = static_cast<float>(x.data<std::int32_t>()[i]);
        break;
      case DType::u8:
        values[i] = static_cast<float>(x.data<std::uint8_t>()[i]);
        break;
      case DType::f64:
        values[i] = static_cast<float>(x.data<double>()[i]);
        break;
    }
  }
  return values;
}

// A tensor of the given elements, rounded to `dtype` (f32, bf16, f16, i32 or u8).
inline Tensor to_tensor(const std::vector<float>& values, const Shape& shape,
                        DType dtype = DType::f32) {
  Tensor x(shape, dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    switch (dtype) {
      case DType::f32:
        x.data<float>()[i] = values[i];
        break;
      case DType::bf16:
        x.data<bfloat16>()[i] = bfloat16(values[i]);
        break;
      case DType::f16:
        x.data<float16>()[i] = float16(values[i]);
        break;
      case DType::i32:
        x.data<std::int32_t>()[i] = static_cast<std::int32_t>(values[i]);
        break;
      case DType::u8:
        x.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(values[i]);
        break;
      case DType::f64:
        x.data<double>()[i] = double{values[i]};
        break;
    }
  }
  return x;
}

// A copy with its own memory, rounded to `dtype`.
inline Tensor to_dtype(const Tensor& x, DType dtype) {
  return to_tensor(to_vector(x), x.shape(), dtype);
}

// i32 indices or targets [n].
inline Tensor make_indices(std::initializer_list<std::int32_t> values) {
  Tensor x({static_cast<std::int64_t>(values.size())}, DType::i32);
  std::copy(values.begin(), values.end(), x.data<std::int32_t>());
  return x;
}

// Uniform in [-scale, scale): a function of (seed, position) alone.
inline Tensor make_random(const Shape& shape, std::uint64_t seed, DType dtype = DType::f32,
                          float scale = 1) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = scale * (2 * uniform_from(philox_u32({.seed = seed}, i)) - 1);
  return to_tensor(values, shape, dtype);
}

// Whether |got - want| <= relative * (|want| + rms(want)) + absolute everywhere; NaN equals NaN
// only, and an infinity itself. Measuring small elements by the rms of all is what rounding in sums
// deserves. The failure names the worst element.
template <class Got, class Want>
testing::AssertionResult close(const std::vector<Got>& got, const std::vector<Want>& want,
                               double relative, double absolute = 0) {
  if (got.size() != want.size())
    return testing::AssertionFailure() << got.size() << " elements instead of " << want.size();
  double squares = 0;
  for (const Want w : want) squares += std::isfinite(w) ? double{w} * double{w} : 0;
  const double rms = want.empty() ? 0 : std::sqrt(squares / static_cast<double>(want.size()));
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double g = got[i], w = want[i];
    if (g == w || (std::isnan(g) && std::isnan(w))) continue;
    const double limit = relative * (std::abs(w) + rms) + absolute;
    const double excess = std::isfinite(w) && std::isfinite(g) && limit > 0
                              ? std::abs(g - w) / limit
                              : std::numeric_limits<double>::infinity();
    if (excess > worst) {
      worst = excess;
      at = i;
    }
  }
  if (worst <= 1) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "element " << at << " of " << want.size() << " is " << got[at] << " instead of "
         << want[at] << ", " << worst << " times the tolerance";
}

template <class Want>
testing::AssertionResult close(const Tensor& got, const std::vector<Want>& want, double relative,
                               double absolute = 0) {
  return close(to_vector(got), want, relative, absolute);
}

inline testing::AssertionResult close(const Tensor& got, const Tensor& want, double relative,
                                      double absolute = 0) {
  if (!(got.shape() == want.shape()))
    return testing::AssertionFailure() << got.shape().str() << " instead of " << want.shape().str();
  return close(to_vector(got), to_vector(want), relative, absolute);
}

// Whether two tensors have the same shape, dtype and bits.
inline testing::AssertionResult same_bits(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype())
    return testing::AssertionFailure()
           << a.shape().str() << " " << name_of(a.dtype()) << " against " << b.shape().str() << " "
           << name_of(b.dtype());
  if (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0)
    return testing::AssertionSuccess();
  std::size_t at = 0;
  while (static_cast<std::byte*>(a.raw())[at] == static_cast<std::byte*>(b.raw())[at]) ++at;
  return testing::AssertionFailure() << "element " << at / size_of(a.dtype()) << " differs";
}

}  // namespace weft
