// Test programs without an emulated device keep no list of kernels.
#include "tests/kernel_errors.hpp"

namespace weft {

void note_fp64_error(double, DType) {}

}  // namespace weft
