// Tensors for tests, on the device under test: random values, conversion, comparison. Device memory
// is never touched by the host: values go there and come back as copies.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/backend/transfer.hpp"
#include "core/base/philox.hpp"
#include "core/tensor/tensor.hpp"
#include "tests/kernel_errors.hpp"
#include "tests/test_device.hpp"

namespace weft {

// The floating dtypes to test kernels with: f16 is for devices.
inline std::vector<DType> test_dtypes() {
  if (on_cpu()) return {DType::f32, DType::bf16};
  return {DType::f32, DType::bf16, DType::f16};
}

// ---- values -------------------------------------------------------------------------------------

// The elements of a tensor of any dtype and device.
template <class Value = float>
std::vector<Value> to_vector(const Tensor& on_device) {
  const Tensor x = to_host(on_device);
  std::vector<Value> values(static_cast<std::size_t>(x.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    switch (x.dtype()) {
      case DType::f32:
        values[i] = static_cast<Value>(x.data<float>()[i]);
        break;
      case DType::bf16:
        values[i] = static_cast<float>(x.data<bfloat16>()[i]);
        break;
      case DType::f16:
        values[i] = static_cast<float>(x.data<float16>()[i]);
        break;
      case DType::i32:
        values[i] = static_cast<Value>(x.data<std::int32_t>()[i]);
        break;
      case DType::u8:
        values[i] = static_cast<Value>(x.data<std::uint8_t>()[i]);
        break;
      case DType::f64:
        values[i] = static_cast<Value>(x.data<double>()[i]);
        break;
    }
  }
  return values;
}

// Uninitialised memory.
inline Tensor make_empty(const Shape& shape, DType dtype = DType::f32) {
  return Tensor(shape, dtype, test_device());
}

// A tensor of the given elements, rounded to `dtype`.
template <class Value>
Tensor to_tensor(const std::vector<Value>& values, const Shape& shape, DType dtype = DType::f32) {
  Tensor x(shape, dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    switch (dtype) {
      case DType::f32:
        x.data<float>()[i] = static_cast<float>(values[i]);
        break;
      case DType::bf16:
        x.data<bfloat16>()[i] = bfloat16(static_cast<float>(values[i]));
        break;
      case DType::f16:
        x.data<float16>()[i] = float16(static_cast<float>(values[i]));
        break;
      case DType::i32:
        x.data<std::int32_t>()[i] = static_cast<std::int32_t>(values[i]);
        break;
      case DType::u8:
        x.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(values[i]);
        break;
      case DType::f64:
        x.data<double>()[i] = static_cast<double>(values[i]);
        break;
    }
  }
  return to_device(x, test_device());
}
inline Tensor to_tensor(std::initializer_list<float> values, const Shape& shape,
                        DType dtype = DType::f32) {
  return to_tensor(std::vector<float>(values), shape, dtype);
}

// A copy with its own memory, rounded to `dtype`.
inline Tensor to_dtype(const Tensor& x, DType dtype) {
  return to_tensor(to_vector(x), x.shape(), dtype);
}

// i32 indices or targets [n].
inline Tensor make_indices(const std::vector<std::int32_t>& values) {
  return to_tensor(values, {static_cast<std::int64_t>(values.size())}, DType::i32);
}

// Uniform in [-scale, scale): a function of (seed, position) alone.
inline Tensor make_random(const Shape& shape, std::uint64_t seed, DType dtype = DType::f32,
                          float scale = 1) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = scale * (2 * uniform_from(philox_u32({.seed = seed}, i)) - 1);
  return to_tensor(values, shape, dtype);
}

// A copy of x with another element i.
inline Tensor with_element(const Tensor& x, std::int64_t i, float value) {
  std::vector<float> values = to_vector(x);
  values[static_cast<std::size_t>(i)] = value;
  return to_tensor(values, x.shape(), x.dtype());
}

// The elements of `values`, of the same dtype, into the memory of x.
inline void overwrite(Tensor x, const Tensor& values) { backend(x).upload(x, to_host(values)); }

// A copy of x that begins one element after an allocation: no access of 16 bytes fits there.
inline Tensor unaligned(const Tensor& x) {
  const Tensor view = make_empty({x.numel() + 1}, x.dtype()).slice_flat(1, x.shape());
  overwrite(view, x);
  return view;
}

// ---- comparison ---------------------------------------------------------------------------------

// How far a result may be from fp64 after its rounding to `dtype`, when an f32 may be `f32` away.
inline double tolerance_of(DType dtype, double f32) {
  return f32 + (dtype == DType::bf16 ? 0x1p-8 : dtype == DType::f16 ? 0x1p-11 : 0);
}

// The root of the mean square of the finite values.
template <class Value>
double rms(const std::vector<Value>& values) {
  double squares = 0;
  for (const Value v : values) squares += std::isfinite(v) ? double{v} * double{v} : 0;
  return values.empty() ? 0 : std::sqrt(squares / static_cast<double>(values.size()));
}

// The largest |got - want| / (|want| + rms(want)) where both are finite.
inline double worst_error(const std::vector<double>& got, const std::vector<double>& want) {
  const double scale = rms(want);
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i]) || !std::isfinite(want[i]) || got[i] == want[i]) continue;
    worst = std::max(worst, std::abs(got[i] - want[i]) / (std::abs(want[i]) + scale));
  }
  return worst;
}

// Whether |got - want| <= relative * (|want| + rms(want)) + absolute everywhere; NaN equals NaN
// only, and an infinity itself. Measuring small elements by the rms of all is what rounding in sums
// deserves. The failure names the worst element.
template <class Got, class Want>
testing::AssertionResult close(const std::vector<Got>& got, const std::vector<Want>& want,
                               double relative, double absolute = 0) {
  if (got.size() != want.size())
    return testing::AssertionFailure() << got.size() << " elements instead of " << want.size();
  const double scale = rms(want);
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double g = got[i], w = want[i];
    if (g == w || (std::isnan(g) && std::isnan(w))) continue;
    const double limit = relative * (std::abs(w) + scale) + absolute;
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

// Against a reference in fp64.
inline testing::AssertionResult close(const Tensor& got, const std::vector<double>& want,
                                      double relative, double absolute = 0) {
  const std::vector<double> values = to_vector<double>(got);
  if (values.size() == want.size()) note_fp64_error(worst_error(values, want), got.dtype());
  return close(values, want, relative, absolute);
}

inline testing::AssertionResult close(const Tensor& got, const std::vector<float>& want,
                                      double relative, double absolute = 0) {
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
  const Tensor x = to_host(a), y = to_host(b);
  if (x.bytes() == 0 || std::memcmp(x.raw(), y.raw(), x.bytes()) == 0)
    return testing::AssertionSuccess();
  std::size_t at = 0;
  while (static_cast<std::byte*>(x.raw())[at] == static_cast<std::byte*>(y.raw())[at]) ++at;
  return testing::AssertionFailure() << "element " << at / size_of(a.dtype()) << " differs";
}

// For two ways to one result: the same bits on the CPU, whose kernels share their loops. A device's
// compiler may contract one of them otherwise: there, within two roundings of the dtype.
inline testing::AssertionResult same_result(const Tensor& a, const Tensor& b) {
  return on_cpu() ? same_bits(a, b) : close(a, b, 2 * tolerance_of(a.dtype(), 1e-6));
}

}  // namespace weft
