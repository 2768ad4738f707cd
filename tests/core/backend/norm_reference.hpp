// Layer normalisation in fp64, forward and backward.
#pragma once

#include <cmath>
#include <vector>

namespace weft {

struct NormReference {
  std::vector<double> y, mean, rstd;
};

// By rows of gamma.size() columns.
inline NormReference norm_reference(const std::vector<double>& x, const std::vector<double>& gamma,
                                    const std::vector<double>& beta, double eps) {
  const std::size_t C = gamma.size();
  const auto columns = static_cast<double>(C);
  NormReference r;
  for (std::size_t row = 0; row < x.size(); row += C) {
    double mean = 0, variance = 0;
    for (std::size_t c = 0; c < C; ++c) mean += x[row + c] / columns;
    for (std::size_t c = 0; c < C; ++c) variance += std::pow(x[row + c] - mean, 2) / columns;
    const double rstd = 1 / std::sqrt(variance + eps);
    for (std::size_t c = 0; c < C; ++c)
      r.y.push_back((x[row + c] - mean) * rstd * gamma[c] + beta[c]);
    r.mean.push_back(mean);
    r.rstd.push_back(rstd);
  }
  return r;
}

struct NormGradients {
  std::vector<double> dx, dgamma, dbeta;
};

// Of rows x with the statistics that the forward found.
inline NormGradients norm_gradients(const std::vector<double>& dy, const std::vector<double>& x,
                                    const NormReference& forward,
                                    const std::vector<double>& gamma) {
  const std::size_t C = gamma.size();
  const auto columns = static_cast<double>(C);
  NormGradients g{std::vector<double>(x.size()), std::vector<double>(C), std::vector<double>(C)};
  for (std::size_t n = 0; n < forward.mean.size(); ++n) {
    const double* const row = &x[n * C];
    const double* const d = &dy[n * C];
    const auto x_hat = [&](std::size_t c) { return (row[c] - forward.mean[n]) * forward.rstd[n]; };
    double mean_g = 0, mean_gx = 0;
    for (std::size_t c = 0; c < C; ++c) {
      mean_g += d[c] * gamma[c] / columns;
      mean_gx += d[c] * gamma[c] * x_hat(c) / columns;
      g.dgamma[c] += d[c] * x_hat(c);
      g.dbeta[c] += d[c];
    }
    for (std::size_t c = 0; c < C; ++c)
      g.dx[n * C + c] = forward.rstd[n] * (d[c] * gamma[c] - mean_g - x_hat(c) * mean_gx);
  }
  return g;
}

}  // namespace weft
