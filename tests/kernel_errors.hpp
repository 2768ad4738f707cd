// Where tests tell how far a kernel's results were from fp64.
#pragma once

#include "core/tensor/dtype.hpp"

namespace weft {

// The largest |got - want| / (|want| + rms(want)) of one comparison of a result of this dtype with
// a reference in fp64. The emulated device ascribes it to the kernels that were launched since the
// last one, for its list of all kernels; elsewhere (no_kernel_errors.cpp) nothing is kept.
void note_fp64_error(double relative, DType dtype);

}  // namespace weft
