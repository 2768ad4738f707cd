// What is timed and by which clock, where calls of a backend are measured alone.
#pragma once

#include "core/tensor/tensor.hpp"

namespace weft {

// Seconds. One thread of a CPU is timed by the processor time it took, so that a busy machine
// counts little.
double timing_clock(Device device);

// Numbers in [-0.02, 0.02) that differ: a GPU draws less power, and runs faster, on equal ones.
Tensor noise(const Shape& shape, const TensorOptions& options);

}  // namespace weft
