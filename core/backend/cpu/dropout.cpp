// Dropout.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/dropout_mask.hpp"
#include "core/backend/cpu/float_rows.hpp"
#include "core/backend/cpu/loops.hpp"

namespace weft {

// Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
// JMLR 2014; scaled while training ("inverted") so that evaluation needs nothing.
void CpuBackend::dropout(Tensor& y, const Tensor& x, const Dropout& dropout) {
  const DropoutMask mask(dropout);
  if (mask.is_identity()) {
    if (y.raw() != x.raw()) copy(y, x);
    return;
  }
  with_compute_type(x.dtype(), "dropout", [&]<class T>(T) {
    T* const py = y.data<T>();
    const T* const px = x.data<T>();
    parallel_ranges(x.numel(), 1, [=, &mask](std::int64_t first, std::int64_t last) {
      std::array<float, kBlock> factors;
      for_blocks(first, last, [&](std::int64_t at, std::int64_t n) {
        float* const factor = factors.data();
        mask.draw(factor, at, n);
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i)
          store(py[at + i], static_cast<float>(px[at + i]) * factor[i]);
      });
    });
  });
}

}  // namespace weft
