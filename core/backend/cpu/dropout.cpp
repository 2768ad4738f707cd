// Dropout.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/dropout_mask.hpp"

#define WEFT_KERNELS "core/backend/cpu/dropout.inc"
#include "core/backend/cpu/simd/for_each_level.inc"

namespace weft {

// Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
// JMLR 2014; scaled while training ("inverted") so that evaluation needs nothing.
void CpuBackend::dropout(Tensor& y, const Tensor& x, const Dropout& dropout) {
  const DropoutMask mask(dropout);
  if (!mask.is_identity()) return for_this_cpu(baseline::drop, avx512::drop)(y, x, mask);
  if (y.raw() != x.raw()) copy(y, x);
}

}  // namespace weft
