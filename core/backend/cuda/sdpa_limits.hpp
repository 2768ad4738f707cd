// Attention that cuDNN is not asked for, although it would plan it.
#pragma once

#include <cstddef>
#include <string>

#include "core/backend/cuda/attention_graph.hpp"

namespace weft {

// Why; "" when nothing is known against it. `cudnn` is cuDNN's own number of its version (91002 for
// 9.10.2), `major` the device's compute capability.
std::string beyond_sdpa(const AttentionSignature& z, bool backward, std::size_t cudnn, int major);

}  // namespace weft
