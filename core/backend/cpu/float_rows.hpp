// Rows of any element type as fp32: kernels with much arithmetic per element compute on these.
//
// For f32 tensors the row itself is used, for bf16 a copy in scratch memory that stays in the
// first-level cache. That is faster than converting in the middle of the arithmetic, where both
// compete for registers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/tensor/dtype.hpp"

namespace weft {

// The n elements at x in fp32: x itself, or converted into scratch.
inline const float* load_row(const float* x, float*, std::int64_t) { return x; }
inline const float* load_row(const bfloat16* x, float* scratch, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) scratch[i] = static_cast<float>(x[i]);
  return scratch;
}

// Where to write the row y in fp32, y itself or scratch; store_row() then rounds it into y.
inline float* open_row(float* y, float*) { return y; }
inline float* open_row(bfloat16*, float* scratch) { return scratch; }
inline void store_row(float*, const float*, std::int64_t) {}
inline void store_row(bfloat16* y, const float* scratch, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i].bits = bfloat16::round(scratch[i]);
}

// A row of scratch memory; none is taken for f32, which needs none.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t n) : row_(static_cast<std::size_t>(n)) {}
  operator float*() { return row_.data(); }

 private:
  std::vector<float> row_;
};
template <>
class Scratch<float> {
 public:
  explicit Scratch(std::int64_t) {}
  operator float*() { return nullptr; }
};

// Columns that elementwise kernels take at a time: a few such rows of fp32 fit in the first-level
// cache.
inline constexpr std::int64_t kBlock = 1024;

// Calls f(begin, count) for the blocks of [first, last).
template <class F>
void for_blocks(std::int64_t first, std::int64_t last, F&& f) {
  for (std::int64_t begin = first; begin < last; begin += kBlock)
    f(begin, std::min(kBlock, last - begin));
}

}  // namespace weft
