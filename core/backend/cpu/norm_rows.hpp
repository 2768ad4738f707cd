// Layer normalisation of one row and its gradient, shared by layer_norm and residual_norm.
//
// Source: Ba, Kiros, Hinton, "Layer normalization", 2016.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/backend/cpu/sums.hpp"

namespace weft {

struct RowStats {
  float mean, rstd;
};

// Mean, then variance of the differences from it: no cancellation when the mean is large.
inline RowStats row_stats(const float* x, std::int64_t columns, float eps) {
  const auto count = static_cast<float>(columns);
  const float mean = sum_terms<float>(columns, [x](std::int64_t c) { return x[c]; }) / count;
  const float squares = sum_terms<float>(
      columns, [x, mean](std::int64_t c) { return (x[c] - mean) * (x[c] - mean); });
  return {mean, 1 / std::sqrt(squares / count + eps)};
}

// y = (x - mean) * rstd * gamma + beta; y may be x.
inline void normalize_row(float* y, const float* x, RowStats stats, const float* gamma,
                          const float* beta, std::int64_t columns) {
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c)
    y[c] = (x[c] - stats.mean) * stats.rstd * gamma[c] + beta[c];
}

// With g = dy gamma and x_hat = (x - mean) rstd:
//   dx = rstd (g - mean(g) - x_hat mean(g x_hat)),  dgamma += dy x_hat,  dbeta += dy.
// dx may be dy or x.
inline void normalize_row_backward(float* dx, float* dgamma, float* dbeta, const float* dy,
                                   const float* x, RowStats stats, const float* gamma,
                                   std::int64_t columns) {
  float sum_g = 0, sum_g_x_hat = 0;
#pragma omp simd reduction(+ : sum_g, sum_g_x_hat)
  for (std::int64_t c = 0; c < columns; ++c) {
    const float x_hat = (x[c] - stats.mean) * stats.rstd;
    const float g = dy[c] * gamma[c];
    sum_g += g;
    sum_g_x_hat += g * x_hat;
    dgamma[c] += dy[c] * x_hat;
    dbeta[c] += dy[c];
  }
  const float mean_g = sum_g / static_cast<float>(columns);
  const float mean_g_x_hat = sum_g_x_hat / static_cast<float>(columns);
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c) {
    const float x_hat = (x[c] - stats.mean) * stats.rstd;
    dx[c] = stats.rstd * (dy[c] * gamma[c] - mean_g - x_hat * mean_g_x_hat);
  }
}

}  // namespace weft
