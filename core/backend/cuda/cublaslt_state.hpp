// What matrix products keep between calls.
#pragma once

#include "core/backend/cuda/cuda_backend.hpp"

namespace weft {

struct CudaBackend::CublasLt {};

}  // namespace weft
