// Kernels that are not there yet.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/tiled_attention.hpp"
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
void tiled_attention_forward(Tensor&, Tensor&, const Tensor&, const AttentionArgs&, cudaStream_t) {
  throw Error("attention_forward: no CUDA kernel yet");
}
void tiled_attention_backward(Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                              const AttentionArgs&, cudaStream_t) {
  throw Error("attention_backward: no CUDA kernel yet");
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
void CudaBackend::gather_rows(Tensor&, const Tensor&, const Tensor&, std::int64_t) {
  throw Error("gather_rows: no CUDA kernel yet");
}
void CudaBackend::scatter_add_rows(Tensor&, const Tensor&, const Tensor&, std::int64_t) {
  throw Error("scatter_add_rows: no CUDA kernel yet");
}
void CudaBackend::cross_entropy_parts(Tensor&, const Tensor&, const Tensor&, std::int64_t) {
  throw Error("cross_entropy_parts: no CUDA kernel yet");
}
void CudaBackend::cross_entropy_join(Tensor&, Tensor&, const Tensor&, const Tensor&) {
  throw Error("cross_entropy_join: no CUDA kernel yet");
}
void CudaBackend::cross_entropy_backward(Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                         const Tensor&, std::int64_t) {
  throw Error("cross_entropy_backward: no CUDA kernel yet");
}
void CudaBackend::sum_rows(Tensor&, const Tensor&) { throw Error("sum_rows: no CUDA kernel yet"); }
void CudaBackend::squared_norms(Tensor&, std::span<const Tensor>) {
  throw Error("squared_norms: no CUDA kernel yet");
}
void CudaBackend::adamw(std::span<const AdamTensors>, const AdamArgs&) {
  throw Error("adamw: no CUDA kernel yet");
}
void CudaBackend::lamb_direction(Tensor&, const AdamTensors&, const AdamArgs&) {
  throw Error("lamb_direction: no CUDA kernel yet");
}
void CudaBackend::lamb_apply(const AdamTensors&, const Tensor&, const Tensor&, float) {
  throw Error("lamb_apply: no CUDA kernel yet");
}

}  // namespace weft
