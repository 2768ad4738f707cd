// Adam's and LAMB's arithmetic, the same on CPU and CUDA.
#pragma once

#include <cmath>

#include "core/backend/backend.hpp"

namespace weft {

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

  WEFT_HOST_DEVICE float operator()(float& m, float& v, float gradient) const {
    const float g = gradient * grad_scale;
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * (g * g);
    return direction(m, v);
  }

  WEFT_HOST_DEVICE float direction(float m, float v) const {
    return m * inverse1 / (std::sqrt(v) * inverse_root2 + eps);
  }
};

// LAMB's lr |w| / |u|, or lr where either norm is 0.
WEFT_HOST_DEVICE inline float lamb_rate(float lr, double w_squares, double u_squares) {
  const double ratio = w_squares > 0 && u_squares > 0 ? std::sqrt(w_squares / u_squares) : 1;
  return static_cast<float>(double{lr} * ratio);
}

}  // namespace weft
