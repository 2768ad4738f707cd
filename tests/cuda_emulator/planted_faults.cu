// Small kernels, right and wrong, on which the emulator is tested.
#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/launch.cuh"
#include "tests/cuda_emulator/planted_faults.hpp"

namespace cuda_emulator {

namespace {

constexpr unsigned kAll = 0xFFFFFFFFU;

template <bool kBarrier>
__global__ void block_sum_kernel(float* y, const float* x) {
  __shared__ float sums[32];
  float v = x[threadIdx.x];
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(kAll, v, offset);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = v;
  if (kBarrier) __syncthreads();
  float total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) total += sums[w];
  y[threadIdx.x] = total;
}

template <bool kBarrier>
__global__ void transpose_kernel(float* y, const float* x, int rows, int columns) {
  WEFT_DYNAMIC_SHARED(float, tile);
  const int r = static_cast<int>(blockIdx.y * 16 + threadIdx.y);
  const int c = static_cast<int>(blockIdx.x * 16 + threadIdx.x);
  if (r < rows && c < columns) tile[threadIdx.y * 17 + threadIdx.x] = x[r * columns + c];
  if (kBarrier) __syncthreads();
  const int to_r = static_cast<int>(blockIdx.x * 16 + threadIdx.y);
  const int to_c = static_cast<int>(blockIdx.y * 16 + threadIdx.x);
  if (to_r < columns && to_c < rows) y[to_r * rows + to_c] = tile[threadIdx.x * 17 + threadIdx.y];
}

__global__ void add_one_kernel(float* x, std::int64_t n) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) x[i] += 1;
}

template <bool kBarrier>
__global__ void neighbours_kernel(float* x) {
  __shared__ float s[32];
  s[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (kBarrier) __syncwarp();
  x[threadIdx.x] = s[(threadIdx.x + 1) % 32];
}

template <bool kFence>
__global__ void last_block_kernel(float* y, float* partial, unsigned* count, const float* x) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = x[blockIdx.x];
    if (kFence) __threadfence();
    last = atomicInc(count, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  float sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += partial[b];
  *y = sum;
}

__global__ void fault_kernel(Fault fault, float* x, std::int64_t n) {
  __shared__ float s[32];
  WEFT_DYNAMIC_SHARED(float, dynamic);
  const unsigned i = threadIdx.x;
  switch (fault) {
    case Fault::index_too_far:
      x[n - 31 + i] = 0;
      break;
    case Fault::index_too_far_read:
      dynamic[i] = x[n - 31 + i];
      break;
    case Fault::index_before:
      x[std::int64_t{i} - 1] = 0;
      break;
    case Fault::static_index_too_far:
      s[i + 1] = 0;
      break;
    case Fault::dynamic_index_too_far:
      dynamic[i + 1] = 0;
      break;
    case Fault::uninitialised_shared:
      x[i] = s[i];
      break;
    case Fault::race_in_a_helper: {
      s[i] = 0;
      __syncthreads();
      s[i] = 1;
      float neighbour[1];
      weft::load_pack<1>(neighbour, s + (i + 1) % 32);
      x[i] = neighbour[0];
      break;
    }
    case Fault::misaligned_load:
      *reinterpret_cast<float4*>(x + 1) = float4{};
      break;
    case Fault::host_memory:
      x[i] = 0;
      break;
    case Fault::same_element_twice:
      x[i] = static_cast<float>(blockIdx.x);
      break;
    case Fault::divergent_barrier:
      if (i < 32) __syncthreads();
      break;
    case Fault::different_barriers:
      if (i < 32)
        __syncthreads();
      else
        __syncthreads();
      break;
    case Fault::exited_lane:
      if (i == 3) return;
      x[i] = __shfl_xor_sync(kAll, x[i], 1);
      break;
    case Fault::lane_outside_mask:
      if (i < 16) x[i] = __shfl_sync(0xFFFFU, x[i], 20);
      break;
    case Fault::too_much_static_shared:
      break;
  }
}

__global__ void big_static_shared_kernel(float* x) {
  __shared__ float big[49 * 256];
  for (unsigned i = threadIdx.x; i < 49 * 256; i += blockDim.x) big[i] = 0;
  __syncthreads();
  x[threadIdx.x] = big[threadIdx.x];
}

__global__ void nothing_kernel() {}

__global__ void warp_primitives_kernel(std::uint32_t* y) {
  const unsigned lane = threadIdx.x;
  const std::uint64_t wide = std::uint64_t{lane} << 40;
  const std::uint32_t results[] = {
      __shfl_sync(kAll, lane, 5),
      __shfl_sync(kAll, lane, 1, 8),
      __shfl_xor_sync(kAll, lane, 3),
      __shfl_down_sync(kAll, lane, 4),
      __shfl_up_sync(kAll, lane, 4, 16),
      static_cast<std::uint32_t>(__shfl_xor_sync(kAll, wide, 1) >> 40),
      __ballot_sync(kAll, lane % 3 == 0),
      static_cast<std::uint32_t>(__any_sync(kAll, lane == 7)),
      static_cast<std::uint32_t>(__all_sync(kAll, lane != 7)),
      static_cast<std::uint32_t>(__syncthreads_count(lane < 10)),
  };
  for (unsigned k = 0; k < 10; ++k) y[k * 32 + lane] = results[k];
  // The two halves of a warp may go their own ways.
  if (lane < 16)
    y[320 + lane] = __shfl_xor_sync(0x0000FFFFU, lane, 8);
  else
    y[320 + lane] = __shfl_xor_sync(0xFFFF0000U, lane, 1);
}

__global__ void atomics_kernel(int* counts, float* sum) {
  atomicAdd(counts, 1);
  atomicMax(counts + 1, static_cast<int>(threadIdx.x));
  atomicMin(counts + 2, static_cast<int>(threadIdx.x));
  atomicAdd(sum, 0.5F);
}

}  // namespace

void run_block_sum(float* y, const float* x, int threads, bool with_barrier, cudaStream_t stream) {
  if (with_barrier)
    WEFT_LAUNCH((block_sum_kernel<true>), 1, threads, 0, stream, y, x);
  else
    WEFT_LAUNCH((block_sum_kernel<false>), 1, threads, 0, stream, y, x);
}

void run_transpose(float* y, const float* x, int rows, int columns, bool with_barrier,
                   cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(columns + 15) / 16, static_cast<unsigned>(rows + 15) / 16);
  const std::size_t tile = 16 * 17 * sizeof(float);
  if (with_barrier)
    WEFT_LAUNCH((transpose_kernel<true>), grid, dim3(16, 16), tile, stream, y, x, rows, columns);
  else
    WEFT_LAUNCH((transpose_kernel<false>), grid, dim3(16, 16), tile, stream, y, x, rows, columns);
}

void run_add_one(float* x, std::int64_t n, cudaStream_t stream) {
  WEFT_LAUNCH(add_one_kernel, weft::blocks_for(n, 128), 128, 0, stream, x, n);
}

void run_neighbours(float* x, bool with_barrier, cudaStream_t stream) {
  if (with_barrier)
    WEFT_LAUNCH((neighbours_kernel<true>), 1, 32, 0, stream, x);
  else
    WEFT_LAUNCH((neighbours_kernel<false>), 1, 32, 0, stream, x);
}

void run_last_block(float* y, float* partial, unsigned* count, const float* x, int blocks,
                    bool fenced, cudaStream_t stream) {
  if (fenced)
    WEFT_LAUNCH((last_block_kernel<true>), blocks, 64, 0, stream, y, partial, count, x);
  else
    WEFT_LAUNCH((last_block_kernel<false>), blocks, 64, 0, stream, y, partial, count, x);
}

void run_fault(Fault fault, float* x, std::int64_t n, cudaStream_t stream) {
  const bool two_warps = fault == Fault::divergent_barrier || fault == Fault::different_barriers;
  if (fault == Fault::too_much_static_shared)
    WEFT_LAUNCH(big_static_shared_kernel, 1, 256, 0, stream, x);
  else
    WEFT_LAUNCH(fault_kernel, fault == Fault::same_element_twice ? 2 : 1, two_warps ? 64 : 32,
                32 * sizeof(float), stream, fault, x, n);
}

void run_nothing(dim3 grid, dim3 block, std::size_t shared_bytes, bool allow_shared,
                 cudaStream_t stream) {
  if (allow_shared)
    weft::check_cuda(
        cudaFuncSetAttribute(nothing_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes)),
        "asking for shared memory");
  WEFT_LAUNCH(nothing_kernel, grid, block, shared_bytes, stream);
}

void run_warp_primitives(std::uint32_t* y, cudaStream_t stream) {
  WEFT_LAUNCH(warp_primitives_kernel, 1, 32, 0, stream, y);
}

void run_atomics(int* counts, float* sum, int threads, int blocks, cudaStream_t stream) {
  WEFT_LAUNCH(atomics_kernel, blocks, threads, 0, stream, counts, sum);
}

}  // namespace cuda_emulator
