// What all GPUs of the process share: options, and notices for the user.
#pragma once

#include <string>

#include "core/backend/cuda.hpp"

namespace weft {

CudaOptions cuda_options();

// For take_cuda_notices(); a text is kept once.
void give_cuda_notice(const std::string& text);

}  // namespace weft
