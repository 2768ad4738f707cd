// Layer normalisation.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/float_rows.hpp"
#include "core/backend/cpu/norm_rows.hpp"

namespace weft {

void CpuBackend::layer_norm_forward(Tensor& y, Tensor& mean_N, Tensor& rstd_N, const Tensor& x,
                                    const Tensor& gamma, const Tensor& beta, float eps) {
  const std::int64_t columns = gamma.numel();
  float *const mean = mean_N.data<float>(), *const rstd = rstd_N.data<float>();
  with_compute_type(x.dtype(), "layer_norm", [&]<class T>(T) {
    T* const py = y.data<T>();
    const T *const px = x.data<T>(), *const pg = gamma.data<T>(), *const pb = beta.data<T>();
    parallel_ranges(mean_N.numel(), columns, [=](std::int64_t first, std::int64_t last) {
      Scratch<T> scratch_g(columns), scratch_b(columns), scratch(columns);
      const float* const g = load_row(pg, scratch_g, columns);
      const float* const b = load_row(pb, scratch_b, columns);
      for (std::int64_t n = first; n < last; ++n) {
        const std::int64_t at = n * columns;
        const float* const in = load_row(px + at, scratch, columns);
        float* const out = open_row(py + at, scratch);
        const RowStats stats = row_stats(in, columns, eps);
        normalize_row(out, in, stats, g, b, columns);
        store_row(py + at, out, columns);
        mean[n] = stats.mean;
        rstd[n] = stats.rstd;
      }
    });
  });
}

void CpuBackend::layer_norm_backward(Tensor& dx, Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                                     const Tensor& x, const Tensor& mean_N, const Tensor& rstd_N,
                                     const Tensor& gamma) {
  const std::int64_t columns = gamma.numel();
  const float *const mean = mean_N.data<float>(), *const rstd = rstd_N.data<float>();
  with_compute_type(x.dtype(), "layer_norm", [&]<class T>(T) {
    T* const pdx = dx.data<T>();
    const T *const pdy = dy.data<T>(), *const px = x.data<T>(), *const pg = gamma.data<T>();
    const auto add_rows = [=](std::int64_t first, std::int64_t last, const auto& sums) {
      Scratch<T> scratch_g(columns), scratch_x(columns), scratch_d(columns);
      const float* const g = load_row(pg, scratch_g, columns);
      for (std::int64_t n = first; n < last; ++n) {
        const std::int64_t at = n * columns;
        const float* const in = load_row(px + at, scratch_x, columns);
        const float* const d = load_row(pdy + at, scratch_d, columns);
        float* const out = open_row(pdx + at, scratch_d);
        normalize_row_backward(out, sums[0], sums[1], d, in, {mean[n], rstd[n]}, g, columns);
        store_row(pdx + at, out, columns);
      }
    };
    column_sums<2>(mean_N.numel(), columns, {dgamma.data<float>(), dbeta.data<float>()}, add_rows);
  });
}

}  // namespace weft
