// Small kernels, right and wrong, on which the emulator is tested.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace cuda_emulator {

// y[i] = the sum over the block of x, in two steps through shared memory.
void run_block_sum(float* y, const float* x, int threads, bool with_barrier, cudaStream_t stream);
// y = the transpose of x [rows, columns] through a tile of dynamic shared memory.
void run_transpose(float* y, const float* x, int rows, int columns, bool with_barrier,
                   cudaStream_t stream);
void run_add_one(float* x, std::int64_t n, cudaStream_t stream);
// Each of 32 lanes writes; its neighbour reads, after __syncwarp() if there is one.
void run_neighbours(float* x, bool with_barrier, cudaStream_t stream);
// Every block counts itself; the last one adds up what all have written.
void run_last_block(float* y, float* partial, unsigned* count, const float* x, int blocks,
                    bool fenced, cudaStream_t stream);

enum class Fault {
  index_too_far,          // in device memory: a write
  index_too_far_read,     // the same, a read
  index_before,           // the same, before its beginning
  static_index_too_far,   // in a static shared array
  dynamic_index_too_far,  // in dynamic shared memory
  uninitialised_shared,
  race_in_a_helper,  // a function of another file than the kernel's
  misaligned_load,
  host_memory,
  same_element_twice,  // two blocks write one element
  divergent_barrier,
  different_barriers,
  exited_lane,
  lane_outside_mask,
  too_much_static_shared
};
void run_fault(Fault fault, float* x, std::int64_t n, cudaStream_t stream);

// Launches nothing sensible: the sizes are what is tested.
void run_nothing(dim3 grid, dim3 block, std::size_t shared_bytes, bool allow_shared,
                 cudaStream_t stream);

// {sums of shuffles}: see the kernel.
void run_warp_primitives(std::uint32_t* y, cudaStream_t stream);
void run_atomics(int* counts, float* sum, int threads, int blocks, cudaStream_t stream);

}  // namespace cuda_emulator
