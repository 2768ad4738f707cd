// Sums over rows and over a whole tensor.
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

double squared_norm(const Tensor& x) {
  const std::int64_t n = x.numel();
  const std::int64_t chunks = (n + kSquaresChunk - 1) / kSquaresChunk;
  std::vector<double> parts(static_cast<std::size_t>(chunks));
  with_compute_type(x.dtype(), "squared_norm", [&]<class T>(T) {
    const T* const px = x.data<T>();
    double* const part = parts.data();
    parallel_ranges(chunks, kSquaresChunk, [=](std::int64_t first, std::int64_t last) {
      for (std::int64_t chunk = first; chunk < last; ++chunk) {
        const std::int64_t begin = chunk * kSquaresChunk;
        part[chunk] = sum_of_squares(px + begin, std::min(kSquaresChunk, n - begin));
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
