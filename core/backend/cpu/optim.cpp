// Optimizer updates: one pass over the state per step, the copy in the compute dtype written on the
// way.
#include <cmath>

#include "core/backend/adam.hpp"
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/cpu/past_caches.hpp"

namespace weft {

namespace {

// Updates w by parts: update(first, last) does elements [first, last) of p.w, whose copy in the
// compute dtype is written while they are in the first-level cache.
template <class F>
void update_weights(const AdamTensors& p, std::string_view kernel, bool streams, const F& update) {
  const std::int64_t n = p.w.numel();
  if (!p.copy) return parallel_ranges(n, 1, update);
  const float* const w = p.w.data<float>();
  with_compute_type(p.copy.dtype(), kernel, [&]<class T>(T) {
    T* const copy = p.copy.data<T>();
    const auto round_block = [=](T* to, std::int64_t begin, std::int64_t count) {
      update(begin, begin + count);
#pragma omp simd
      for (std::int64_t i = 0; i < count; ++i) store(to[i], w[begin + i]);
    };
    parallel_ranges(n, 1, [=](std::int64_t first, std::int64_t last) {
      if (streams) return stream_blocks(copy, first, last, round_block);
      for_blocks(first, last, [=](std::int64_t begin, std::int64_t count) {
        round_block(copy + begin, begin, count);
      });
    });
  });
}

}  // namespace

// w -= lr (Adam's direction + weight_decay w), the decay decoupled from the gradient.
//
// Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
void CpuBackend::adamw(std::span<const AdamTensors> parameters, const AdamArgs& args) {
  const Adam adam(args);
  std::size_t bytes = 0;
  for (const AdamTensors& p : parameters) bytes += 4 * p.w.bytes();
  for (const AdamTensors& p : parameters) {
    float *pw = p.w.data<float>(), *pm = p.m.data<float>(), *pv = p.v.data<float>();
    const float* pg = p.g.data<float>();
    // Not w * (1 - lr decay): that factor, so near 1, would round away percents of the decay.
    const float lr = args.lr, decay = args.lr * p.weight_decay;
    update_weights(p, "adamw", is_beyond_caches(bytes), [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
      for (std::int64_t i = first; i < last; ++i)
        pw[i] -= lr * adam(pm[i], pv[i], pg[i]) + decay * pw[i];
    });
  }
}

// u = Adam's direction + weight_decay w.
//
// Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes",
// ICLR 2020.
void CpuBackend::lamb_direction(Tensor& u, const AdamTensors& p, const AdamArgs& args) {
  float *pu = u.data<float>(), *pm = p.m.data<float>(), *pv = p.v.data<float>();
  const float *pw = p.w.data<float>(), *pg = p.g.data<float>();
  const Adam adam(args);
  const float decay = p.weight_decay;
  parallel_ranges(p.w.numel(), 1, [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
    for (std::int64_t i = first; i < last; ++i) pu[i] = adam(pm[i], pv[i], pg[i]) + decay * pw[i];
  });
}

void CpuBackend::lamb_apply(const AdamTensors& p, const Tensor& u, const Tensor& squares,
                            float lr) {
  const double ww = squares ? squares.data<double>()[0] : 0;
  const double uu = squares ? squares.data<double>()[1] : 0;
  const double ratio = ww > 0 && uu > 0 ? std::sqrt(ww / uu) : 1;
  const auto rate = static_cast<float>(double{lr} * ratio);
  float* pw = p.w.data<float>();
  const float* pu = u.data<float>();
  const bool streams = is_beyond_caches(p.w.bytes() + u.bytes());
  update_weights(p, "lamb_apply", streams, [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
    for (std::int64_t i = first; i < last; ++i) pw[i] -= rate * pu[i];
  });
}

}  // namespace weft
