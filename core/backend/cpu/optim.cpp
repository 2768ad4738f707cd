// Optimizer updates: one pass over the state per step, the copy in the compute dtype written on the
// way.
#include <cmath>
#include <type_traits>

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

// Adam's moments after one more gradient, and the direction they give.
//
// Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.
struct Adam {
  float beta1, beta2, rest1, rest2, grad_scale, inverse1, inverse_root2, eps;

  explicit Adam(const AdamArgs& a)
      : beta1(static_cast<float>(a.beta1)),
        beta2(static_cast<float>(a.beta2)),
        rest1(static_cast<float>(1 - a.beta1)),
        rest2(static_cast<float>(1 - a.beta2)),
        grad_scale(a.grad_scale),
        inverse1(static_cast<float>(1 / a.correction1)),
        inverse_root2(static_cast<float>(1 / std::sqrt(a.correction2))),
        eps(a.eps) {}

  float operator()(float& m, float& v, float gradient) const {
    const float g = gradient * grad_scale;
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * (g * g);
    return m * inverse1 / (std::sqrt(v) * inverse_root2 + eps);
  }
};

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
