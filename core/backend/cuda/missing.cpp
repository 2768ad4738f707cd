// Kernels that are not there yet.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/base/error.hpp"

namespace weft {

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

}  // namespace weft
