// Kernels still to be written: each call fails loudly. Remove an entry when its family's file has
// the body.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {
[[noreturn]] void pending(const char* kernel) {
  throw Error(std::string("cpu kernel not written: ") + kernel);
}
}  // namespace

void CpuBackend::activation_forward(Tensor&, const Tensor&, Activation) {
  pending("activation_forward");
}
void CpuBackend::activation_backward(Tensor&, const Tensor&, const Tensor&, Activation) {
  pending("activation_backward");
}
void CpuBackend::bias_activation_forward(Tensor&, const Tensor&, const Tensor&, Activation) {
  pending("bias_activation_forward");
}
void CpuBackend::bias_activation_backward(Tensor&, Tensor&, const Tensor&, const Tensor&,
                                          const Tensor&, Activation) {
  pending("bias_activation_backward");
}
void CpuBackend::dropout(Tensor&, const Tensor&, const Dropout&) { pending("dropout"); }
void CpuBackend::layer_norm_forward(Tensor&, Tensor&, Tensor&, const Tensor&, const Tensor&,
                                    const Tensor&, float) {
  pending("layer_norm_forward");
}
void CpuBackend::layer_norm_backward(Tensor&, Tensor&, Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&, const Tensor&, const Tensor&) {
  pending("layer_norm_backward");
}
void CpuBackend::residual_norm_forward(Tensor&, Tensor&, Tensor&, Tensor&, const ResidualNorm&) {
  pending("residual_norm_forward");
}
void CpuBackend::residual_norm_backward(Tensor&, Tensor&, Tensor&, Tensor&, Tensor&, const Tensor&,
                                        const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                        const Dropout&) {
  pending("residual_norm_backward");
}
void CpuBackend::cross_entropy_parts(Tensor&, const Tensor&, const Tensor&, std::int64_t) {
  pending("cross_entropy_parts");
}
void CpuBackend::cross_entropy_join(Tensor&, Tensor&, const Tensor&, const Tensor&) {
  pending("cross_entropy_join");
}
void CpuBackend::cross_entropy_backward(Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                        const Tensor&, std::int64_t) {
  pending("cross_entropy_backward");
}

}  // namespace weft
