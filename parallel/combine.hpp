// Sums, maxima and minima over ranks, elementwise, in the order of the ranks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>

#include "core/tensor/dtype.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// The type in which elements are combined: 16-bit floats are widened, and rounded once at the end.
template <class T>
using Wide = std::conditional_t<sizeof(T) == 2, float, T>;

// Calls f(float{}) or what else is the element type; false for a dtype that cannot be reduced.
template <class F>
bool with_reduced_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      f(float{});
      return true;
    case DType::f64:
      f(double{});
      return true;
    case DType::i32:
      f(std::int32_t{});
      return true;
    case DType::bf16:
      f(bfloat16{});
      return true;
    case DType::f16:
      f(float16{});
      return true;
    case DType::u8:
      break;
  }
  return false;
}

namespace combine_detail {

constexpr std::int64_t kBlock = 1024;  // elements that stay in the first-level cache

template <class T, class Op>
void block(Wide<T>* sum, std::span<const T* const> sources, std::int64_t first, std::int64_t n,
           Op op) {
  const T* a = sources[0] + first;
  if (sources.size() == 1) {
    for (std::int64_t i = 0; i < n; ++i) sum[i] = static_cast<Wide<T>>(a[i]);
    return;
  }
  const T* b = sources[1] + first;
  for (std::int64_t i = 0; i < n; ++i) {
    sum[i] = op(static_cast<Wide<T>>(a[i]), static_cast<Wide<T>>(b[i]));
  }
  for (std::size_t r = 2; r < sources.size(); ++r) {
    const T* c = sources[r] + first;
    for (std::int64_t i = 0; i < n; ++i) sum[i] = op(sum[i], static_cast<Wide<T>>(c[i]));
  }
}

template <class Y, class T, class Op>
void all_blocks(Y* y, Y* again, std::span<const T* const> sources, std::int64_t n, Op op) {
  Wide<T> sum[kBlock];
  for (std::int64_t first = 0; first < n; first += kBlock) {
    const std::int64_t count = std::min(kBlock, n - first);
    block(sum, sources, first, count, op);
    for (std::int64_t i = 0; i < count; ++i) y[first + i] = static_cast<Y>(sum[i]);
    std::copy_n(y + first, count, again + first);
  }
}

}  // namespace combine_detail

// y = again = the sources combined, n elements of each. y may be one of the sources.
template <class Y, class T>
void combine(Y* y, Y* again, std::span<const T* const> sources, std::int64_t n, ReduceOp op) {
  const auto with = [&](auto f) { combine_detail::all_blocks(y, again, sources, n, f); };
  using W = Wide<T>;
  switch (op) {
    case ReduceOp::sum:
      return with([](W a, W b) { return a + b; });
    case ReduceOp::max:
      return with([](W a, W b) { return std::max(a, b); });
    case ReduceOp::min:
      return with([](W a, W b) { return std::min(a, b); });
  }
}

}  // namespace weft
