// The end of a post-norm sub-layer in one pass: bias, dropout, residual sum, layer normalisation.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/dropout_mask.hpp"
#include "core/backend/cpu/sums.hpp"

#define WEFT_KERNELS "core/backend/cpu/residual_norm.inc"
#include "core/backend/cpu/simd/for_each_level.inc"

namespace weft {

void CpuBackend::residual_norm_forward(Tensor& y, Tensor& sum, Tensor& mean_N, Tensor& rstd_N,
                                       const ResidualNorm& in) {
  for_this_cpu(baseline::residual_norm_forward, avx512::residual_norm_forward)(y, sum, mean_N,
                                                                               rstd_N, in);
}

void CpuBackend::residual_norm_backward(Tensor& dx, Tensor& dresidual, Tensor& dbias,
                                        Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                                        const Tensor& sum, const Tensor& mean_N,
                                        const Tensor& rstd_N, const Tensor& gamma,
                                        const Dropout& dropout) {
  for_this_cpu(baseline::residual_norm_backward, avx512::residual_norm_backward)(
      dx, dresidual, dbias, dgamma, dbeta, dy, sum, mean_N, rstd_N, gamma, dropout);
}

}  // namespace weft
