// Which kernel multiplies: the one place that says so.
#pragma once

#include "core/backend/cpu/onednn.hpp"

namespace weft {

enum class ProductKernel { onednn, onednn_packed, bf16_tiles };

// By the CPU and the product's shape and layouts alone, never by the clock: the kernels differ in
// the last bits. The measurements behind it are in docs/benchmarks/cpu.md.
ProductKernel choose_product_kernel(const ProductShape& shape, bool b_is_weight);

}  // namespace weft
