// Optimizer updates: one pass over the state per step, the copy in the compute dtype written on the
// way.
#include <cmath>
#include <type_traits>

#include "core/backend/adam.hpp"
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/loops.hpp"

namespace weft {

namespace {

// Calls f with a pointer to the compute copy's elements, or to void when there is none.
template <class F>
void with_copy(const Tensor& copy, std::string_view kernel, F&& f) {
  if (!copy) return f(static_cast<void*>(nullptr));
  with_compute_type(copy.dtype(), kernel, [&]<class T>(T) { f(copy.data<T>()); });
}

}  // namespace

// w -= lr (Adam's direction + weight_decay w), the decay decoupled from the gradient.
//
// Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
void CpuBackend::adamw(std::span<const AdamTensors> parameters, const AdamArgs& args) {
  const Adam adam(args);
  for (const AdamTensors& p : parameters) {
    with_copy(p.copy, "adamw", [&]<class T>(T* pc) {
      float *pw = p.w.data<float>(), *pm = p.m.data<float>(), *pv = p.v.data<float>();
      const float* pg = p.g.data<float>();
      // Not w * (1 - lr decay): that factor, so near 1, would round away percents of the decay.
      const float lr = args.lr, decay = args.lr * p.weight_decay;
      parallel_ranges(p.w.numel(), 1, [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
        for (std::int64_t i = first; i < last; ++i) {
          pw[i] -= lr * adam(pm[i], pv[i], pg[i]) + decay * pw[i];
          if constexpr (!std::is_void_v<T>) store(pc[i], pw[i]);
        }
      });
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
  with_copy(p.copy, "lamb_apply", [&]<class T>(T* pc) {
    float* pw = p.w.data<float>();
    const float* pu = u.data<float>();
    parallel_ranges(p.w.numel(), 1, [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
      for (std::int64_t i = first; i < last; ++i) {
        pw[i] -= rate * pu[i];
        if constexpr (!std::is_void_v<T>) store(pc[i], pw[i]);
      }
    });
  });
}

}  // namespace weft
