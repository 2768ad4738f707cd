// Kernels that are not there yet.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/base/error.hpp"

namespace weft {

void CudaBackend::activation_forward(Tensor&, const Tensor&, Activation) {
  throw Error("activation_forward: no CUDA kernel yet");
}
void CudaBackend::activation_backward(Tensor&, const Tensor&, const Tensor&, Activation) {
  throw Error("activation_backward: no CUDA kernel yet");
}
void CudaBackend::bias_activation_forward(Tensor&, const Tensor&, const Tensor&, Activation) {
  throw Error("bias_activation_forward: no CUDA kernel yet");
}
void CudaBackend::bias_activation_backward(Tensor&, Tensor&, const Tensor&, const Tensor&,
                                           const Tensor&, Activation) {
  throw Error("bias_activation_backward: no CUDA kernel yet");
}
void CudaBackend::dropout(Tensor&, const Tensor&, const Dropout&) {
  throw Error("dropout: no CUDA kernel yet");
}
void CudaBackend::layer_norm_forward(Tensor&, Tensor&, Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&, float) {
  throw Error("layer_norm_forward: no CUDA kernel yet");
}
void CudaBackend::layer_norm_backward(Tensor&, Tensor&, Tensor&, const Tensor&, const Tensor&,
                                      const Tensor&, const Tensor&, const Tensor&) {
  throw Error("layer_norm_backward: no CUDA kernel yet");
}
void CudaBackend::residual_norm_forward(Tensor&, Tensor&, Tensor&, Tensor&, const ResidualNorm&) {
  throw Error("residual_norm_forward: no CUDA kernel yet");
}
void CudaBackend::residual_norm_backward(Tensor&, Tensor&, Tensor&, Tensor&, Tensor&, const Tensor&,
                                         const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                         const Dropout&) {
  throw Error("residual_norm_backward: no CUDA kernel yet");
}
void CudaBackend::sum_rows(Tensor&, const Tensor&) { throw Error("sum_rows: no CUDA kernel yet"); }
void CudaBackend::squared_norms(Tensor&, std::span<const Tensor>) {
  throw Error("squared_norms: no CUDA kernel yet");
}

}  // namespace weft
