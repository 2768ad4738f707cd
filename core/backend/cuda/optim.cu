// Optimizer updates: as few passes over the state per step as the formulas allow, the copy in the
// compute dtype written on the way. A launch updates many tensors, so that the hundreds of small
// ones of a model (biases, norms) cost no launch each.
#include <algorithm>
#include <type_traits>

#include "core/backend/adam.hpp"
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/launch.cuh"

namespace weft {

namespace {

constexpr int kBlock = 256;
constexpr std::int64_t kChunk = 16 * kBlock;  // elements of one tensor that one block updates

// ---- many tensors per launch --------------------------------------------------------------------

struct AdamEntry {
  float *w, *m, *v;
  const float* g;
  void* copy;  // or null
  std::int64_t n;
  float decay;
  DType copy_dtype;
  bool packed;  // all begin at a multiple of a pack's bytes
};

// The tensors of one launch. It travels in the kernel's parameters, of which every GPU takes 4 KiB.
struct AdamTable {
  static constexpr int kEntries = 64;
  AdamEntry entries[kEntries];
  unsigned first_block[kEntries + 1];  // the last one that counts is the number of blocks
  int count;

  unsigned blocks() const { return first_block[count]; }
};
static_assert(sizeof(AdamTable) + sizeof(Adam) + 2 * sizeof(void*) <= 4096);

// A block's part of a table: elements [first, first + n) of p.
struct AdamShare {
  AdamEntry p;
  int entry;
  std::int64_t first, n;
};

__device__ AdamShare share_of_block(const AdamTable& table) {
  int entry = 0;  // the last one that begins at this block or before
  for (int above = table.count; above - entry > 1;) {
    const int middle = (entry + above) / 2;
    if (table.first_block[middle] <= blockIdx.x)
      entry = middle;
    else
      above = middle;
  }
  const AdamEntry& p = table.entries[entry];
  const std::int64_t first = (blockIdx.x - table.first_block[entry]) * kChunk;
  return {p, entry, first, p.n - first < kChunk ? p.n - first : kChunk};
}

// Calls f(constant K, i) for elements i to i + K - 1 of the tensor, those of the share that are the
// calling thread's.
template <class F>
__device__ void for_packs_of(const AdamShare& s, const F& f) {
  const auto from_first = [&]<int K>(std::integral_constant<int, K> k, std::int64_t i) {
    f(k, s.first + i);
  };
  if (s.p.packed)
    for_packs<4>(s.n, threadIdx.x, kBlock, from_first);
  else
    for_packs<1>(s.n, threadIdx.x, kBlock, from_first);
}

// Calls f with a pointer to the copy's elements, or to void when there is none.
template <class F>
__device__ void with_copy(const AdamEntry& p, const F& f) {
  if (p.copy == nullptr)
    f(static_cast<void*>(nullptr));
  else if (p.copy_dtype == DType::bf16)
    f(static_cast<bfloat16*>(p.copy));
  else if (p.copy_dtype == DType::f16)
    f(static_cast<float16*>(p.copy));
  else
    f(static_cast<float*>(p.copy));
}

template <int N, class Copy>
__device__ void store_weights(const AdamEntry& p, Copy* copy, std::int64_t i, const float (&w)[N]) {
  store_pack<N>(p.w + i, w);
  if constexpr (!std::is_void_v<Copy>) store_pack<N>(copy + i, w);
}

AdamEntry entry_of(const AdamTensors& p, float decay) {
  AdamEntry entry{.w = p.w.data<float>(),
                  .m = p.m.data<float>(),
                  .v = p.v.data<float>(),
                  .g = p.g.data<float>(),
                  .copy = p.copy.raw(),
                  .n = p.w.numel(),
                  .decay = decay,
                  .copy_dtype = p.copy.dtype(),
                  .packed = false};
  with_pack<float>({&p.w, &p.m, &p.v, &p.g, &p.copy}, [&](auto n) { entry.packed = n > 1; });
  return entry;
}

// Calls launch(table, first) for table after table of the parameters, `first` being the number of a
// table's first one. An entry's decay is `scale` times its weight_decay.
template <class F>
void for_tables(std::span<const AdamTensors> parameters, float scale, const F& launch) {
  for (std::size_t first = 0; first < parameters.size(); first += AdamTable::kEntries) {
    AdamTable table{};
    const std::size_t rest = parameters.size() - first;
    for (const AdamTensors& p :
         parameters.subspan(first, std::min<std::size_t>(rest, AdamTable::kEntries))) {
      const auto blocks = static_cast<unsigned>((p.w.numel() + kChunk - 1) / kChunk);
      table.entries[table.count] = entry_of(p, scale * p.weight_decay);
      table.first_block[table.count + 1] = table.first_block[table.count] + blocks;
      ++table.count;
    }
    launch(table, first);
  }
}

// ---- AdamW --------------------------------------------------------------------------------------

// Elements i to i + N - 1: w -= lr Adam's direction + decay w.
template <int N, class Copy>
__device__ void adamw_update(const AdamEntry& p, Copy* copy, const Adam& adam, float lr,
                             std::int64_t i) {
  float w[N], m[N], v[N], g[N];
  load_pack<N>(w, p.w + i);
  load_pack<N>(m, p.m + i);
  load_pack<N>(v, p.v + i);
  load_pack<N>(g, p.g + i);
  // Not w * (1 - lr decay): that factor, so near 1, would round away percents of the decay.
  for (int k = 0; k < N; ++k) w[k] -= lr * adam(m[k], v[k], g[k]) + p.decay * w[k];
  store_pack<N>(p.m + i, m);
  store_pack<N>(p.v + i, v);
  store_weights<N>(p, copy, i, w);
}

__global__ void __launch_bounds__(kBlock)
    adamw_kernel(const __grid_constant__ AdamTable table, Adam adam, float lr) {
  const AdamShare share = share_of_block(table);
  with_copy(share.p, [&]<class Copy>(Copy* copy) {
    for_packs_of(share, [&]<int N>(std::integral_constant<int, N>, std::int64_t i) {
      adamw_update<N>(share.p, copy, adam, lr, i);
    });
  });
}

// ---- LAMB ---------------------------------------------------------------------------------------

// Elements i to i + N - 1: m and v updated, the squares of w and of u added to sums.
template <int N>
__device__ void lamb_moments_update(double (&sums)[2], const AdamEntry& p, const Adam& adam,
                                    std::int64_t i) {
  float w[N], m[N], v[N], g[N];
  load_pack<N>(w, p.w + i);
  load_pack<N>(m, p.m + i);
  load_pack<N>(v, p.v + i);
  load_pack<N>(g, p.g + i);
  for (int k = 0; k < N; ++k) {
    const float u = adam(m[k], v[k], g[k]) + p.decay * w[k];
    sums[0] += double{w[k]} * double{w[k]};
    sums[1] += double{u} * double{u};
  }
  store_pack<N>(p.m + i, m);
  store_pack<N>(p.v + i, v);
}

// parts_b2 has the sums of each block.
__global__ void __launch_bounds__(kBlock)
    lamb_moments_kernel(double* parts_b2, const __grid_constant__ AdamTable table, Adam adam) {
  __shared__ double scratch[2 * kWarp];
  const AdamShare share = share_of_block(table);
  double sums[2] = {};
  for_packs_of(share, [&]<int N>(std::integral_constant<int, N>, std::int64_t i) {
    lamb_moments_update<N>(sums, share.p, adam, i);
  });
  block_sums(sums, scratch);
  if (threadIdx.x == 0) {
    parts_b2[2 * std::int64_t{blockIdx.x}] = sums[0];
    parts_b2[2 * std::int64_t{blockIdx.x} + 1] = sums[1];
  }
}

// One block for each tensor.
__global__ void __launch_bounds__(kBlock)
    lamb_squares_kernel(double* squares_n2, const double* parts_b2,
                        const __grid_constant__ AdamTable table) {
  __shared__ double scratch[2 * kWarp];
  double sums[2] = {};
  for (std::int64_t b = table.first_block[blockIdx.x] + threadIdx.x;
       b < table.first_block[blockIdx.x + 1]; b += kBlock) {
    sums[0] += parts_b2[2 * b];
    sums[1] += parts_b2[2 * b + 1];
  }
  block_sums(sums, scratch);
  if (threadIdx.x == 0) {
    squares_n2[2 * blockIdx.x] = sums[0];
    squares_n2[2 * blockIdx.x + 1] = sums[1];
  }
}

// Elements i to i + N - 1: w -= rate (Adam's direction + decay w).
template <int N, class Copy>
__device__ void lamb_apply_update(const AdamEntry& p, Copy* copy, const Adam& adam, float rate,
                                  std::int64_t i) {
  float w[N], m[N], v[N];
  load_pack<N>(w, p.w + i);
  load_pack<N>(m, p.m + i);
  load_pack<N>(v, p.v + i);
  for (int k = 0; k < N; ++k) w[k] -= rate * (adam.direction(m[k], v[k]) + p.decay * w[k]);
  store_weights<N>(p, copy, i, w);
}

// The squares are read here, where they were summed: no host waits for them.
__global__ void __launch_bounds__(kBlock)
    lamb_apply_kernel(const __grid_constant__ AdamTable table, const double* squares_n2, Adam adam,
                      float lr) {
  __shared__ float shared_rate;
  const AdamShare share = share_of_block(table);
  if (threadIdx.x == 0) {  // once per block, for fp64 is slow on some GPUs
    const double* const squares = squares_n2 + 2 * share.entry;
    shared_rate = lamb_rate(lr, squares[0], squares[1]);
  }
  __syncthreads();
  const float rate = shared_rate;
  with_copy(share.p, [&]<class Copy>(Copy* copy) {
    for_packs_of(share, [&]<int N>(std::integral_constant<int, N>, std::int64_t i) {
      lamb_apply_update<N>(share.p, copy, adam, rate, i);
    });
  });
}

}  // namespace

// w -= lr (Adam's direction + weight_decay w), the decay decoupled from the gradient.
//
// Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
void CudaBackend::adamw(std::span<const AdamTensors> parameters, const AdamArgs& args) {
  for_tables(parameters, args.lr, [&](const AdamTable& table, std::size_t) {
    if (table.blocks() == 0) return;
    WEFT_LAUNCH(adamw_kernel, table.blocks(), kBlock, 0, stream(), table, Adam(args), args.lr);
  });
}

// Of u = Adam's direction + weight_decay w only the norm leaves the kernel. lamb_apply makes u
// again: to read m and v for it takes 8 bytes, as many as to write and to read u, which would need
// memory.
//
// Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes",
// ICLR 2020.
void CudaBackend::lamb_moments(Tensor& squares, std::span<const AdamTensors> parameters,
                               const AdamArgs& args) {
  for_tables(parameters, 1, [&](const AdamTable& table, std::size_t first) {
    const Tensor parts = scratch({std::max<std::int64_t>(1, table.blocks()), 2}, DType::f64);
    if (table.blocks() > 0) {
      WEFT_LAUNCH(lamb_moments_kernel, table.blocks(), kBlock, 0, stream(), parts.data<double>(),
                  table, Adam(args));
    }
    WEFT_LAUNCH(lamb_squares_kernel, static_cast<unsigned>(table.count), kBlock, 0, stream(),
                squares.data<double>() + 2 * first, parts.data<double>(), table);
  });
}

void CudaBackend::lamb_apply(std::span<const AdamTensors> parameters, const Tensor& squares,
                             const AdamArgs& args) {
  for_tables(parameters, 1, [&](const AdamTable& table, std::size_t first) {
    if (table.blocks() == 0) return;
    WEFT_LAUNCH(lamb_apply_kernel, table.blocks(), kBlock, 0, stream(), table,
                squares.data<double>() + 2 * first, Adam(args), args.lr);
  });
}

}  // namespace weft
