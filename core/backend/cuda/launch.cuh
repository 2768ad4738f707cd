// How kernels are launched. The emulator of the tests brings its own cuda_runtime.h, which defines
// the same two macros for the host.
#pragma once

#include <algorithm>
#include <cstdint>

#include <cuda_runtime.h>

#include "core/backend/cuda/runtime.hpp"

#ifndef WEFT_LAUNCH
// Begins kernel(arguments...) on `grid` blocks of `block` threads with `shared_bytes` of dynamic
// shared memory. Throws Error naming the kernel when it cannot be launched.
#define WEFT_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)     \
  do {                                                                  \
    kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__); \
    ::weft::check_cuda(cudaPeekAtLastError(), "launching " #kernel);    \
  } while (false)

// Declares `name`, a pointer to the block's dynamic shared memory.
#define WEFT_DYNAMIC_SHARED(T, name)                           \
  extern __shared__ __align__(16) unsigned char weft_shared[]; \
  T* const name = reinterpret_cast<T*>(weft_shared)
#endif

namespace weft {

// Blocks for `items` with `per_block` of them each; at most `most`, as a loop over the grid takes
// the rest.
inline unsigned blocks_for(std::int64_t items, std::int64_t per_block,
                           std::int64_t most = std::int64_t{1} << 20) {
  return static_cast<unsigned>(
      std::clamp<std::int64_t>((items + per_block - 1) / per_block, 1, most));
}

}  // namespace weft
