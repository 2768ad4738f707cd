// Layer normalisation.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/sums.hpp"

#define WEFT_KERNELS "core/backend/cpu/layer_norm.inc"
#include "core/backend/cpu/simd/for_each_level.inc"

namespace weft {

void CpuBackend::layer_norm_forward(Tensor& y, Tensor& mean_N, Tensor& rstd_N, const Tensor& x,
                                    const Tensor& gamma, const Tensor& beta, float eps) {
  for_this_cpu(baseline::layer_norm_forward, avx512::layer_norm_forward)(y, mean_N, rstd_N, x,
                                                                         gamma, beta, eps);
}

void CpuBackend::layer_norm_backward(Tensor& dx, Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                                     const Tensor& x, const Tensor& mean_N, const Tensor& rstd_N,
                                     const Tensor& gamma) {
  for_this_cpu(baseline::layer_norm_backward, avx512::layer_norm_backward)(dx, dgamma, dbeta, dy, x,
                                                                           mean_N, rstd_N, gamma);
}

}  // namespace weft
