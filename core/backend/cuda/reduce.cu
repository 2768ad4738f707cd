// Sums over rows and over whole tensors.
#include <vector>

#include "core/backend/cuda/column_sums.cuh"
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/dispatch.hpp"

namespace weft {

namespace {

template <int N, class T>
__global__ void sum_rows_kernel(ColumnTargets<1> targets, const T* x, MatrixCut cut) {
  const ColumnsOfThread<N> mine(cut);
  float sums[1][N] = {};
  WEFT_UNROLL_BY_4  // four loads under way at a time
      for (std::int64_t row = mine.first_row; row < mine.last_row; row += kColumnWarps) {
    float v[N];
    load_pack<N>(v, x + row * cut.columns + mine.column);
    for (int i = 0; i < N; ++i) sums[0][i] += v[i];
  }
  write_column_sums(targets, cut, sums);
}

struct PartTotals {
  std::array<float*, 4> out;  // or null
};

// blockIdx.x has 32 columns, blockIdx.y one of the sums.
__global__ void add_parts_kernel(const __grid_constant__ PartTotals totals, const float* parts_PKC,
                                 std::int64_t parts, std::int64_t columns) {
  const int warp = static_cast<int>(threadIdx.x / kWarp), lane = threadIdx.x % kWarp;
  const std::int64_t first = std::int64_t{blockIdx.x} * kWarp;
  float* const out = totals.out[blockIdx.y];
  if (out == nullptr) return;
  float sum[1] = {0};
  if (first + lane < columns) {
    const std::int64_t stride = gridDim.y * columns;
    const float* const x = parts_PKC + blockIdx.y * columns + first + lane;
    WEFT_UNROLL_BY_4
    for (std::int64_t p = warp; p < parts; p += kColumnWarps) sum[0] += x[p * stride];
  }
  add_over_warps<1, kColumnWarps, 1>(out + first, columns - first, sum, 0);
}

}  // namespace

void add_parts(std::span<float* const> out, const Tensor& parts_PKC, cudaStream_t stream) {
  PartTotals totals{};
  std::copy(out.begin(), out.end(), totals.out.begin());
  const std::int64_t parts = parts_PKC.shape()[0], columns = parts_PKC.shape()[2];
  const dim3 grid(blocks_for(columns, kWarp), static_cast<unsigned>(out.size()));
  WEFT_LAUNCH(add_parts_kernel, grid, kColumnBlock, 0, stream, totals, parts_PKC.data<float>(),
              parts, columns);
}

void CudaBackend::sum_rows(Tensor& y_C, const Tensor& x_NC) {
  const std::int64_t columns = y_C.numel();
  if (columns == 0) return;
  const std::int64_t rows = x_NC.numel() / columns;
  const int multiprocessors = runtime_.properties().multiProcessorCount;
  with_floating_type(x_NC.dtype(), "sum_rows", [&]<class T>(T) {
    with_pack<T>({&x_NC}, columns, [&]<int N>(std::integral_constant<int, N>) {
      const MatrixCut cut(rows, columns, N, kSummingBlocks * multiprocessors);
      column_sums<1>({y_C.data<float>()}, cut.parts, columns, device(), stream(),
                     [&](const ColumnTargets<1>& targets) {
                       WEFT_LAUNCH((sum_rows_kernel<N, T>), cut.grid(), kColumnBlock, 0, stream(),
                                   targets, x_NC.data<T>(), cut);
                     });
    });
  });
}

namespace {

// Many tensors per launch: their addresses travel with the kernel's parameters, of which there may
// be 4 KiB. A block adds up one part of one tensor.
constexpr int kNormTensors = 128;
constexpr int kNormBlock = 256;
constexpr std::int64_t kNormPart = 16 * 1024;  // elements

struct NormBatch {
  std::array<const void*, kNormTensors> x;
  std::array<std::int64_t, kNormTensors> elements;
  std::array<std::uint32_t, kNormTensors + 1> first_part;  // of tensor i; then, how many in all
  std::array<DType, kNormTensors> dtype;
};
static_assert(sizeof(NormBatch) <= 4000);

// The calling thread's share of [0, n) squared. Adds in fp64, where no square of an fp32 overflows.
template <int N, class T>
__device__ double squares_of_thread(const T* x, std::int64_t n) {
  double sums[4] = {};
  for_packs<N>(n, threadIdx.x, blockDim.x,
               [&]<int K>(std::integral_constant<int, K>, std::int64_t i) {
                 float v[K];
                 load_pack<K>(v, x + i);
                 WEFT_UNROLL
                 for (int k = 0; k < K; ++k) sums[k % 4] += double{v[k]} * double{v[k]};
               });
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

template <class T>
__device__ double squares_of_thread(const void* tensor, std::int64_t first, std::int64_t n) {
  const T* const x = static_cast<const T*>(tensor) + first;
  return reinterpret_cast<std::uintptr_t>(x) % 16 == 0 ? squares_of_thread<kPackSize<T>>(x, n)
                                                       : squares_of_thread<1>(x, n);
}

__global__ void squared_norm_parts_kernel(double* parts, const __grid_constant__ NormBatch batch) {
  __shared__ double scratch[kWarp];
  int tensor = 0, last = kNormTensors - 1;  // the last one whose first part is not beyond this
  while (tensor < last) {
    const int middle = (tensor + last + 1) / 2;
    if (batch.first_part[middle] <= blockIdx.x) {
      tensor = middle;
    } else {
      last = middle - 1;
    }
  }
  const std::int64_t first = (blockIdx.x - batch.first_part[tensor]) * kNormPart;
  const std::int64_t rest = batch.elements[tensor] - first;
  const std::int64_t n = rest < kNormPart ? rest : kNormPart;
  const void* const x = batch.x[tensor];
  const DType dtype = batch.dtype[tensor];
  double sum = dtype == DType::f32    ? squares_of_thread<float>(x, first, n)
               : dtype == DType::bf16 ? squares_of_thread<bfloat16>(x, first, n)
                                      : squares_of_thread<float16>(x, first, n);
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// One warp for each tensor.
__global__ void squared_norms_kernel(double* sums, const double* parts,
                                     const __grid_constant__ NormBatch batch) {
  double sum = 0;
  for (std::uint32_t p = batch.first_part[blockIdx.x] + threadIdx.x;
       p < batch.first_part[blockIdx.x + 1]; p += kWarp)
    sum += parts[p];
  sum = warp_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

}  // namespace

void CudaBackend::squared_norms(Tensor& sums, std::span<const Tensor> xs) {
  for (std::size_t first = 0; first < xs.size(); first += kNormTensors) {
    const std::size_t count = std::min<std::size_t>(kNormTensors, xs.size() - first);
    NormBatch batch{};
    std::uint32_t parts = 0;
    for (std::size_t i = 0; i < batch.x.size(); ++i) {
      batch.first_part[i] = parts;
      if (i >= count) continue;
      const Tensor& x = xs[first + i];
      with_floating_type(x.dtype(), "squared_norms", [](auto) {});  // refuses others
      batch.x[i] = x.raw();
      batch.elements[i] = x.numel();
      batch.dtype[i] = x.dtype();
      parts += static_cast<std::uint32_t>((x.numel() + kNormPart - 1) / kNormPart);
    }
    batch.first_part.back() = parts;
    const Tensor of_parts = scratch({std::max<std::int64_t>(1, parts)}, DType::f64);
    if (parts > 0) {
      WEFT_LAUNCH(squared_norm_parts_kernel, parts, kNormBlock, 0, stream(),
                  of_parts.data<double>(), batch);
    }
    WEFT_LAUNCH(squared_norms_kernel, static_cast<unsigned>(count), kWarp, 0, stream(),
                sums.data<double>() + first, of_parts.data<double>(), batch);
  }
}

}  // namespace weft
