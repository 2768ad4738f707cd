// Sums whose bits do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <numeric>

#include "core/backend/cpu/loops.hpp"
#include "core/tensor/memory_use.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// Squares are summed by chunks of this many elements, and the chunks in order.
inline constexpr std::int64_t kSquaresChunk = 4096;

// The sum of squares, by sixteen sums side by side: no addition waits for another, and memory is
// read in its order.
template <class T>
double sum_of_squares(const T* x, std::int64_t n) {
  constexpr std::int64_t kLanes = 16;
  double lanes[kLanes] = {};
  const auto add = [&](std::int64_t lane, std::int64_t i) {
    const double v = static_cast<float>(x[i]);
    lanes[lane] += v * v;
  };
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) add(lane, i + lane);
  }
  for (; i < n; ++i) add(0, i);
  return std::accumulate(std::begin(lanes), std::end(lanes), 0.0);
}

// K column sums at once: f(first_row, last_row, sums) adds rows [first_row, last_row) to sums[k][c]
// for each column c. Rows are cut into chunks by their number alone, and the sums of the chunks are
// added in order into out[k], f32 [columns]; a null out[k] is left out.
template <std::size_t K, class F>
void column_sums(std::int64_t rows, std::int64_t columns, const std::array<float*, K>& out,
                 const F& f) {
  constexpr std::int64_t kMinRows = 16, kMaxChunks = 64;
  const std::int64_t size = std::max(kMinRows, (rows + kMaxChunks - 1) / kMaxChunks);
  const std::int64_t chunks = (rows + size - 1) / size;
  const std::int64_t width = static_cast<std::int64_t>(K) * columns;
  const MemoryScope scratch_scope(MemoryUse::workspace);
  const Tensor partial({chunks, width}, DType::f32);
  float* const sums = partial.data<float>();

  parallel_ranges(chunks, size * columns, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t chunk = first; chunk < last; ++chunk) {
      std::array<float*, K> mine;
      for (std::size_t k = 0; k < K; ++k)
        mine[k] = sums + chunk * width + static_cast<std::int64_t>(k) * columns;
      std::fill_n(mine[0], width, 0.0F);
      f(chunk * size, std::min(rows, (chunk + 1) * size), mine);
    }
  });

  for (std::size_t k = 0; k < K; ++k) {
    if (out[k] == nullptr) continue;
    float* const y = out[k];
    const float* const part = sums + static_cast<std::int64_t>(k) * columns;
    parallel_ranges(columns, chunks, [=](std::int64_t first, std::int64_t last) {
      std::fill(y + first, y + last, 0.0F);
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (std::int64_t c = first; c < last; ++c) y[c] += part[chunk * width + c];
      }
    });
  }
}

}  // namespace weft
