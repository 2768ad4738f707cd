// Optimizer updates: one pass over the state per step, the copy in the compute dtype written on the
// way. A launch updates many tensors, so that the hundreds of small ones of a model (biases, norms)
// cost no launch each.
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

// ---- AdamW over many tensors --------------------------------------------------------------------

struct AdamEntry {
  float *w, *m, *v;
  const float* g;
  void* copy;  // or null
  std::int64_t n;
  float decay;  // lr * weight_decay
  DType copy_dtype;
  bool packed;  // all begin at a multiple of a pack's bytes
};

// The tensors of one launch. It travels in the kernel's parameters, of which every GPU takes 4 KiB.
struct AdamTable {
  static constexpr int kEntries = 64;
  AdamEntry entries[kEntries];
  unsigned first_block[kEntries + 1];  // the last one that counts is the number of blocks
  int count;
};
static_assert(sizeof(AdamTable) + sizeof(Adam) + sizeof(float) <= 4096);

// Elements i to i + N - 1: w -= lr Adam's direction + decay w.
template <class Copy, int N>
__device__ void adamw_update(const AdamEntry& p, const Adam& adam, float lr, std::int64_t i) {
  float w[N], m[N], v[N], g[N];
  load_pack<N>(w, p.w + i);
  load_pack<N>(m, p.m + i);
  load_pack<N>(v, p.v + i);
  load_pack<N>(g, p.g + i);
  // Not w * (1 - lr decay): that factor, so near 1, would round away percents of the decay.
  for (int k = 0; k < N; ++k) w[k] -= lr * adam(m[k], v[k], g[k]) + p.decay * w[k];
  store_pack<N>(p.w + i, w);
  store_pack<N>(p.m + i, m);
  store_pack<N>(p.v + i, v);
  if constexpr (!std::is_void_v<Copy>) store_pack<N>(static_cast<Copy*>(p.copy) + i, w);
}

// A block's share of p.
template <class Copy, int N>
__device__ void adamw_chunk(const AdamEntry& p, const Adam& adam, float lr, std::int64_t first,
                            std::int64_t last) {
  for_packs<N>(last - first, threadIdx.x, kBlock,
               [&]<int K>(std::integral_constant<int, K>, std::int64_t i) {
                 adamw_update<Copy, K>(p, adam, lr, first + i);
               });
}

template <class Copy>
__device__ void adamw_chunk(const AdamEntry& p, const Adam& adam, float lr, std::int64_t first,
                            std::int64_t last) {
  if (p.packed)
    adamw_chunk<Copy, 4>(p, adam, lr, first, last);
  else
    adamw_chunk<Copy, 1>(p, adam, lr, first, last);
}

__global__ void __launch_bounds__(kBlock)
    adamw_kernel(const __grid_constant__ AdamTable table, Adam adam, float lr) {
  int entry = 0;  // the last one that begins at this block or before
  for (int above = table.count; above - entry > 1;) {
    const int middle = (entry + above) / 2;
    if (table.first_block[middle] <= blockIdx.x)
      entry = middle;
    else
      above = middle;
  }
  const AdamEntry p = table.entries[entry];
  const std::int64_t first = (blockIdx.x - table.first_block[entry]) * kChunk;
  const std::int64_t last = first + kChunk < p.n ? first + kChunk : p.n;
  if (p.copy == nullptr)
    adamw_chunk<void>(p, adam, lr, first, last);
  else if (p.copy_dtype == DType::bf16)
    adamw_chunk<bfloat16>(p, adam, lr, first, last);
  else if (p.copy_dtype == DType::f16)
    adamw_chunk<float16>(p, adam, lr, first, last);
  else
    adamw_chunk<float>(p, adam, lr, first, last);
}

// ---- LAMB ---------------------------------------------------------------------------------------

template <int N>
__device__ void lamb_direction_update(float* u, const AdamEntry& p, const Adam& adam,
                                      std::int64_t i) {
  float w[N], m[N], v[N], g[N];
  load_pack<N>(w, p.w + i);
  load_pack<N>(m, p.m + i);
  load_pack<N>(v, p.v + i);
  load_pack<N>(g, p.g + i);
  for (int k = 0; k < N; ++k) w[k] = adam(m[k], v[k], g[k]) + p.decay * w[k];
  store_pack<N>(p.m + i, m);
  store_pack<N>(p.v + i, v);
  store_pack<N>(u + i, w);
}

// u = Adam's direction + decay w; u may be g.
template <int N>
__global__ void lamb_direction_kernel(float* u, AdamEntry p, Adam adam) {
  for_packs<N>(p.n, [&]<int K>(std::integral_constant<int, K>, std::int64_t i) {
    lamb_direction_update<K>(u, p, adam, i);
  });
}

template <class Copy, int N>
__device__ void lamb_apply_update(float* w, Copy* copy, const float* u, float rate,
                                  std::int64_t i) {
  float vw[N], vu[N];
  load_pack<N>(vw, w + i);
  load_pack<N>(vu, u + i);
  for (int k = 0; k < N; ++k) vw[k] -= rate * vu[k];
  store_pack<N>(w + i, vw);
  if constexpr (!std::is_void_v<Copy>) store_pack<N>(copy + i, vw);
}

// w -= lr |w| / |u| u. The squares are read here, where they were summed: no host waits for them.
template <class Copy, int N>
__global__ void lamb_apply_kernel(float* w, Copy* copy, const float* u, const double* squares,
                                  float lr, std::int64_t n) {
  __shared__ float shared_rate;
  if (threadIdx.x == 0) {  // once per block, for fp64 is slow on some GPUs
    const double ww = squares == nullptr ? 0 : squares[0];
    const double uu = squares == nullptr ? 0 : squares[1];
    const double ratio = ww > 0 && uu > 0 ? std::sqrt(ww / uu) : 1;
    shared_rate = static_cast<float>(double{lr} * ratio);
  }
  __syncthreads();
  const float rate = shared_rate;
  for_packs<N>(n, [=]<int K>(std::integral_constant<int, K>, std::int64_t i) {
    lamb_apply_update<Copy, K>(w, copy, u, rate, i);
  });
}

constexpr std::int64_t kLambBlocks = 2048;  // at most: enough to fill a GPU several times

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

}  // namespace

// w -= lr (Adam's direction + weight_decay w), the decay decoupled from the gradient.
//
// Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
void CudaBackend::adamw(std::span<const AdamTensors> parameters, const AdamArgs& args) {
  const Adam adam(args);
  AdamTable table{};
  const auto flush = [&] {
    if (table.count == 0) return;
    WEFT_LAUNCH(adamw_kernel, table.first_block[table.count], kBlock, 0, stream(), table, adam,
                args.lr);
    table.count = 0;
  };
  for (const AdamTensors& p : parameters) {
    if (p.w.numel() == 0) continue;
    const auto blocks = static_cast<unsigned>((p.w.numel() + kChunk - 1) / kChunk);
    table.entries[table.count] = entry_of(p, args.lr * p.weight_decay);
    table.first_block[table.count + 1] = table.first_block[table.count] + blocks;
    if (++table.count == AdamTable::kEntries) flush();
  }
  flush();
}

// u = Adam's direction + weight_decay w.
//
// Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes",
// ICLR 2020.
void CudaBackend::lamb_direction(Tensor& u, const AdamTensors& p, const AdamArgs& args) {
  const std::int64_t n = p.w.numel();
  if (n == 0) return;
  with_pack<float>({&u, &p.w, &p.m, &p.v, &p.g}, [&]<int N>(std::integral_constant<int, N>) {
    WEFT_LAUNCH((lamb_direction_kernel<N>), blocks_for(n, kBlock * N, kLambBlocks), kBlock, 0,
                stream(), u.data<float>(), entry_of(p, p.weight_decay), Adam(args));
  });
}

void CudaBackend::lamb_apply(const AdamTensors& p, const Tensor& u, const Tensor& squares,
                             float lr) {
  const std::int64_t n = p.w.numel();
  if (n == 0) return;
  const auto apply = [&]<class Copy>(Copy* copy) {
    with_pack<float>({&p.w, &u, &p.copy}, [&]<int N>(std::integral_constant<int, N>) {
      WEFT_LAUNCH((lamb_apply_kernel<Copy, N>), blocks_for(n, kBlock * N, kLambBlocks), kBlock, 0,
                  stream(), p.w.data<float>(), copy, u.data<float>(),
                  squares ? squares.data<double>() : nullptr, lr, n);
    });
  };
  if (!p.copy) return apply(static_cast<void*>(nullptr));
  with_floating_type(p.copy.dtype(), "lamb_apply",
                     [&]<class Copy>(Copy) { apply(p.copy.data<Copy>()); });
}

}  // namespace weft
