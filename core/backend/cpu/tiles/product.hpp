// Matrix products by tiles of our own.
#pragma once

#include "core/backend/cpu/onednn.hpp"

namespace weft {

// What a product reads and writes: c of shape.c_dtype, a, b and the bias of shape.dtype. A null
// bias is none; a_sums, f32 [m] or null, receives the sums of a's rows and wants a stored
// transposed.
struct TiledOperands {
  void* c = nullptr;
  const void* a = nullptr;
  const void* b = nullptr;
  const void* bias = nullptr;
  float* a_sums = nullptr;
};

// For any shape without empty dims whose dtype has tile_kernels(). Every element of c is one sum
// over k in order: its bits depend neither on the number of threads nor on the other rows.
void tiled_product(const ProductShape& shape, const TiledOperands& operands);

}  // namespace weft
