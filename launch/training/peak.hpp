// The rate of matrix products that a device reaches: what mfu is measured against.
#pragma once

#include "core/tensor/device.hpp"
#include "core/tensor/dtype.hpp"

namespace weft {

// Multiply-adds times two per second of a large matrix product in `dtype`, the best of a few runs
// with this process's threads: about 0.05 s.
double measure_peak_flops(DType dtype, Device device);

}  // namespace weft
