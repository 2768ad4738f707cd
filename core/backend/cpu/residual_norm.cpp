// The end of a post-norm sub-layer in one pass: bias, dropout, residual sum, layer normalisation.
#include <vector>

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/dropout_mask.hpp"
#include "core/backend/cpu/float_rows.hpp"
#include "core/backend/cpu/norm_rows.hpp"

namespace weft {

namespace {

// Dropout factors of whole rows: drawn for each row, or ones throughout when nothing is dropped.
class RowFactors {
 public:
  RowFactors(const DropoutMask& mask, std::int64_t columns)
      : mask_(mask), factors_(static_cast<std::size_t>(columns), 1.0F) {}

  const float* of_row(std::int64_t n) {
    const auto columns = static_cast<std::int64_t>(factors_.size());
    if (!mask_.is_identity()) mask_.draw(factors_.data(), n * columns, columns);
    return factors_.data();
  }

 private:
  const DropoutMask& mask_;
  std::vector<float> factors_;
};

// A bias in fp32; zeros when there is none.
template <class T>
std::vector<float> bias_row(const Tensor& bias, std::int64_t columns) {
  std::vector<float> row(static_cast<std::size_t>(columns));
  if (bias)
    std::transform(bias.data<T>(), bias.data<T>() + columns, row.begin(),
                   [](T b) { return static_cast<float>(b); });
  return row;
}

}  // namespace

// The statistics are those of the sum as stored, so that the backward sees the same x_hat.
void CpuBackend::residual_norm_forward(Tensor& y, Tensor& sum, Tensor& mean_N, Tensor& rstd_N,
                                       const ResidualNorm& in) {
  const std::int64_t columns = in.gamma.numel();
  const DropoutMask mask(in.dropout);
  float *const mean = mean_N.data<float>(), *const rstd = rstd_N.data<float>();
  with_compute_type(in.x.dtype(), "residual_norm", [&]<class T>(T) {
    T *const py = y.data<T>(), *const psum = sum.data<T>();
    const T *const px = in.x.data<T>(), *const presidual = in.residual.data<T>();
    const std::vector<float> bias_C = bias_row<T>(in.bias, columns);
    parallel_ranges(mean_N.numel(), columns, [&](std::int64_t first, std::int64_t last) {
      Scratch<T> scratch_g(columns), scratch_b(columns), scratch_x(columns), scratch(columns);
      const float* const gamma = load_row(in.gamma.data<T>(), scratch_g, columns);
      const float* const beta = load_row(in.beta.data<T>(), scratch_b, columns);
      const float* const bias = bias_C.data();
      RowFactors factors(mask, columns);
      for (std::int64_t n = first; n < last; ++n) {
        const std::int64_t at = n * columns;
        const float* const factor = factors.of_row(n);
        const float* const x = load_row(px + at, scratch_x, columns);
        const float* const residual = load_row(presidual + at, scratch, columns);
        float* const s = open_row(psum + at, scratch);
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c)
          s[c] = residual[c] + (x[c] + bias[c]) * factor[c];
        store_row(psum + at, s, columns);

        const float* const stored = load_row(psum + at, scratch, columns);
        const RowStats stats = row_stats(stored, columns, in.eps);
        float* const out = open_row(py + at, scratch);
        normalize_row(out, stored, stats, gamma, beta, columns);
        store_row(py + at, out, columns);
        mean[n] = stats.mean;
        rstd[n] = stats.rstd;
      }
    });
  });
}

void CpuBackend::residual_norm_backward(Tensor& dx, Tensor& dresidual, Tensor& dbias,
                                        Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                                        const Tensor& sum, const Tensor& mean_N,
                                        const Tensor& rstd_N, const Tensor& gamma,
                                        const Dropout& dropout) {
  const std::int64_t columns = gamma.numel();
  const DropoutMask mask(dropout);
  const float *const mean = mean_N.data<float>(), *const rstd = rstd_N.data<float>();
  float* const dbias_C = dbias ? dbias.data<float>() : nullptr;
  with_compute_type(sum.dtype(), "residual_norm", [&]<class T>(T) {
    T *const pdx = dx.data<T>(), *const pdr = dresidual.data<T>();
    const T *const pdy = dy.data<T>(), *const psum = sum.data<T>(), *const pg = gamma.data<T>();
    const auto add_rows = [&](std::int64_t first, std::int64_t last, const auto& sums) {
      Scratch<T> scratch_g(columns), scratch_s(columns), scratch_d(columns);
      const float* const g = load_row(pg, scratch_g, columns);
      float* const db = sums[2];
      RowFactors factors(mask, columns);
      for (std::int64_t n = first; n < last; ++n) {
        const std::int64_t at = n * columns;
        const float* const factor = factors.of_row(n);
        const float* const s = load_row(psum + at, scratch_s, columns);
        const float* const d = load_row(pdy + at, scratch_d, columns);
        float* const dr = open_row(pdr + at, scratch_d);
        normalize_row_backward(dr, sums[0], sums[1], d, s, {mean[n], rstd[n]}, g, columns);
        store_row(pdr + at, dr, columns);

        float* const out = open_row(pdx + at, scratch_s);
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
          out[c] = dr[c] * factor[c];
          db[c] += out[c];
        }
        store_row(pdx + at, out, columns);
      }
    };
    column_sums<3>(mean_N.numel(), columns, {dgamma.data<float>(), dbeta.data<float>(), dbias_C},
                   add_rows);
  });
}

}  // namespace weft
