// The rate of matrix products that a device reaches: what mfu is measured against.
#pragma once

#include "core/tensor/device.hpp"
#include "core/tensor/dtype.hpp"

namespace weft {

// Multiply-adds times two per second: of a known GPU what its maker says, of any other device what
// it reaches here. `tf32`: products of f32 tensors on GPUs are rounded so.
double peak_flops(DType dtype, Device device, bool tf32);

// Of the CPU: a large matrix product, the best of a few runs with this process's threads, about
// 0.05 s.
double measure_peak_flops(DType dtype);

}  // namespace weft
