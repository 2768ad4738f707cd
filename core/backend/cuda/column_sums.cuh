// Sums over the rows of a matrix, one for each column: gradients of biases and of the norms'
// parameters. In two stages, without atomics: each block adds up its part of the rows, in an order
// that depends on the shape and the GPU's size alone, and a second kernel adds the parts in order.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/launch.cuh"
#include "core/tensor/tensor.hpp"

namespace weft {

// ---- a matrix walked by columns -----------------------------------------------------------------

inline constexpr int kColumnWarps = 8;
inline constexpr int kColumnBlock = kColumnWarps * kWarp;

// Blocks per multiprocessor that run at once, of kernels that keep sums in registers and of others.
inline constexpr int kSummingBlocks = 4;
inline constexpr int kColumnBlocks = 8;

// A matrix cut into blocks of threads: blockIdx.x has 32 packs of columns, one for each lane, and
// blockIdx.y a part of the rows, which its warps take in turns.
struct MatrixCut {
  std::int64_t rows, columns, rows_of_part;
  unsigned tiles, parts;

  // `pack` columns per lane. About `blocks` blocks, but no part so small that writing its sums
  // would count.
  MatrixCut(std::int64_t rows_, std::int64_t columns_, int pack, int blocks)
      : rows(rows_), columns(columns_) {
    constexpr std::int64_t kMinRows = 4 * kColumnWarps;
    const std::int64_t columns_of_tile = std::int64_t{kWarp} * pack;
    tiles = static_cast<unsigned>((columns + columns_of_tile - 1) / columns_of_tile);
    const std::int64_t most = std::max<std::int64_t>(1, blocks / tiles);
    rows_of_part = std::max(kMinRows, (rows + most - 1) / most);
    parts = blocks_for(rows, rows_of_part);
  }
  dim3 grid() const { return {tiles, parts}; }
};

// What a thread has of a matrix: N columns of some rows.
template <int N>
struct ColumnsOfThread {
  std::int64_t column, first_row, last_row;

  __device__ explicit ColumnsOfThread(const MatrixCut& cut)
      : column((std::int64_t{blockIdx.x} * kWarp + threadIdx.x % kWarp) * N) {
    const std::int64_t begin = blockIdx.y * cut.rows_of_part;
    const std::int64_t end = begin + cut.rows_of_part;
    first_row = begin + threadIdx.x / kWarp;
    last_row = column >= cut.columns ? 0 : end < cut.rows ? end : cut.rows;  // none beyond the edge
  }
};

// ---- sums ---------------------------------------------------------------------------------------

// Where a kernel's blocks leave K sums per column: sums[k][part * stride + column]. Null sums are
// not wanted.
template <std::size_t K>
struct ColumnTargets {
  std::array<float*, K> sums;
  std::int64_t stride;
};

// to[c] = what the warps of the block have for column c of 32 N, lane l's being N l and following;
// only columns below `count` are written. Calls that follow each other have turns 0, 1, 2 ...: they
// use two buffers alternately, so that one barrier each is enough.
template <int N, int kWarps, int kBuffers>
__device__ inline void add_over_warps(float* to, std::int64_t count, const float (&sums)[N],
                                      int turn) {
  struct alignas(16) Buffer {
    float v[kWarps][kWarp * N];
  };
  __shared__ Buffer buffers[kBuffers];
  Buffer& buffer = buffers[turn % kBuffers];
  store_pack<N>(&buffer.v[threadIdx.x / kWarp][threadIdx.x % kWarp * N], sums);
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < kWarp * N && c < count; c += kWarps * kWarp) {
    float sum = 0;
    WEFT_UNROLL
    for (int w = 0; w < kWarps; ++w) sum += buffer.v[w][c];
    to[c] = sum;
  }
}

// The sums of a block of kColumnBlock threads that walks a matrix by columns.
template <int N, std::size_t K>
__device__ inline void write_column_sums(const ColumnTargets<K>& targets, const MatrixCut& cut,
                                         const float (&sums)[K][N]) {
  const std::int64_t first = std::int64_t{blockIdx.x} * kWarp * N;
  int turn = 0;
  WEFT_UNROLL
  for (std::size_t k = 0; k < K; ++k) {
    if (targets.sums[k] == nullptr) continue;
    add_over_warps<N, kColumnWarps, (K > 1 ? 2 : 1)>(
        targets.sums[k] + blockIdx.y * targets.stride + first, cut.columns - first, sums[k],
        turn++);
  }
}

// out[k][c] = the sum over p of parts_PKC[p][k][c], unless out[k] is null.
void add_parts(std::span<float* const> out, const Tensor& parts_PKC, cudaStream_t stream);

// K column sums at once: launch(targets) begins the kernel whose `parts` blocks per column leave
// their sums there; `out` has their totals, f32 [columns] each, or null.
template <std::size_t K, class Launch>
void column_sums(const std::array<float*, K>& out, unsigned parts, std::int64_t columns,
                 Device device, cudaStream_t stream, const Launch& launch) {
  if (parts == 1) return launch(ColumnTargets<K>{out, 0});
  const auto count = static_cast<std::int64_t>(K);
  const Tensor parts_PKC({std::int64_t{parts}, count, columns}, DType::f32, device);
  ColumnTargets<K> targets{{}, count * columns};
  for (std::size_t k = 0; k < K; ++k) {
    if (out[k] != nullptr)
      targets.sums[k] = parts_PKC.data<float>() + static_cast<std::int64_t>(k) * columns;
  }
  launch(targets);
  add_parts(out, parts_PKC, stream);
}

}  // namespace weft
