// Which tiles this CPU can multiply.
#include "core/backend/cpu/tiles/tiles.hpp"

#include "core/backend/cpu/onednn.hpp"

namespace weft {

const TileKernels* tile_kernels(DType dtype) {
#if defined(__x86_64__)
  if (dtype == DType::f32 && cpu_has_avx512()) return &f32_tile_kernels();
  if (dtype == DType::bf16 && cpu_has_bf16()) return &bf16_tile_kernels();
#endif
  return nullptr;
}

}  // namespace weft
