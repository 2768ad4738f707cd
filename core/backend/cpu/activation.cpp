// Activation functions, alone and fused with the bias before them.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/sums.hpp"

#define WEFT_KERNELS "core/backend/cpu/activation.inc"
#include "core/backend/cpu/simd/for_each_level.inc"

namespace weft {

void CpuBackend::activation_forward(Tensor& y, const Tensor& x, Activation f) {
  for_this_cpu(baseline::activation_forward, avx512::activation_forward)(y, x, f);
}

void CpuBackend::activation_backward(Tensor& dx, const Tensor& dy, const Tensor& x, Activation f) {
  for_this_cpu(baseline::activation_backward, avx512::activation_backward)(dx, dy, x, f);
}

void CpuBackend::bias_activation_forward(Tensor& y, const Tensor& x, const Tensor& bias,
                                         Activation f) {
  for_this_cpu(baseline::bias_activation_forward, avx512::bias_activation_forward)(y, x, bias, f);
}

void CpuBackend::bias_activation_backward(Tensor& dx, Tensor& dbias, const Tensor& dy,
                                          const Tensor& x, const Tensor& bias, Activation f) {
  for_this_cpu(baseline::bias_activation_backward, avx512::bias_activation_backward)(dx, dbias, dy,
                                                                                     x, bias, f);
}

}  // namespace weft
