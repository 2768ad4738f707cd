// Matrix products in bf16 by tiles of our own.
#pragma once

#include "core/backend/cpu/onednn.hpp"

namespace weft {

// What a product reads and writes: c of shape.c_dtype, the rest in bf16. A null bias is none;
// a_sums, f32 [m] or null, receives the sums of a's rows and wants a stored transposed.
struct Bf16Operands {
  void* c = nullptr;
  const bfloat16* a = nullptr;
  const bfloat16* b = nullptr;
  const bfloat16* bias = nullptr;
  float* a_sums = nullptr;
};

// For any shape without empty dims, where cpu_has_bf16_tiles(). Every element of c is one sum over
// k in order: its bits depend neither on the number of threads nor on the other rows.
void bf16_product(const ProductShape& shape, const Bf16Operands& operands);

}  // namespace weft
