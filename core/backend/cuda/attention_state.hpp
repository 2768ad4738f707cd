// What attention keeps between calls.
#pragma once

#include "core/backend/cuda/cuda_backend.hpp"

namespace weft {

struct CudaBackend::Sdpa {};

}  // namespace weft
