// Sums over rows and over a whole tensor.
#include <iterator>
#include <numeric>
#include <vector>

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/sums.hpp"

namespace weft {

void CpuBackend::sum_rows(Tensor& y_C, const Tensor& x_NC) {
  const std::int64_t columns = y_C.numel();
  const std::int64_t rows = columns == 0 ? 0 : x_NC.numel() / columns;
  with_compute_type(x_NC.dtype(), "sum_rows", [&]<class T>(T) {
    const T* const x = x_NC.data<T>();
    column_sums<1>(rows, columns, {y_C.data<float>()},
                   [=](std::int64_t first, std::int64_t last, const auto& sums) {
                     float* const sum = sums[0];
                     for (std::int64_t n = first; n < last; ++n) {
                       const T* const row = x + n * columns;
                       for (std::int64_t c = 0; c < columns; ++c)
                         sum[c] += static_cast<float>(row[c]);
                     }
                   });
  });
}

namespace {

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

double squared_norm(const Tensor& x) {
  constexpr std::int64_t kChunk = 4096;
  const std::int64_t n = x.numel();
  const std::int64_t chunks = (n + kChunk - 1) / kChunk;
  std::vector<double> parts(static_cast<std::size_t>(chunks));
  with_compute_type(x.dtype(), "squared_norm", [&]<class T>(T) {
    const T* const px = x.data<T>();
    double* const part = parts.data();
    parallel_ranges(chunks, kChunk, [=](std::int64_t first, std::int64_t last) {
      for (std::int64_t chunk = first; chunk < last; ++chunk) {
        const std::int64_t begin = chunk * kChunk;
        part[chunk] = sum_of_squares(px + begin, std::min(kChunk, n - begin));
      }
    });
  });
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

}  // namespace

void CpuBackend::squared_norms(Tensor& sums, std::span<const Tensor> xs) {
  std::transform(xs.begin(), xs.end(), sums.data<double>(), squared_norm);
}

}  // namespace weft
