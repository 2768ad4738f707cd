// The highest rate of matrix products: what mfu is measured against.
#pragma once

#include "core/tensor/device.hpp"
#include "core/tensor/dtype.hpp"

namespace weft {

// Multiply-adds times two per second: of a CPU what its arithmetic units reach here with this
// process's threads, of a known GPU what its maker says, of any other what a product reaches.
// `tf32`: products of f32 tensors on GPUs are rounded so.
double peak_flops(DType dtype, Device device, bool tf32);

}  // namespace weft
