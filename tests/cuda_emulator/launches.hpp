// The limits of a launch.
#pragma once

#include <cstddef>

#include "tests/cuda_emulator/block.hpp"

namespace cuda_emulator {

// Those of compute capability 9.0.
constexpr std::size_t kSharedBytes = 48 << 10;      // of a block, unless it asks for more
constexpr std::size_t kMaxSharedBytes = 227 << 10;  // that it can ask for
constexpr std::size_t kSharedBytesPerMultiprocessor = 228 << 10;

}  // namespace cuda_emulator
