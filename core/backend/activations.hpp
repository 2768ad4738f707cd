// The activation functions and their slopes, shared by CPU and CUDA.
#pragma once

#include "core/backend/backend.hpp"
#include "core/backend/fast_math.hpp"

namespace weft {

// x Phi(x), Phi the normal distribution function.
//
// Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
struct Gelu {
  WEFT_HOST_DEVICE static float value(float x) {
    return 0.5F * x * (1 + fast_erf(x * 0.707106781F));
  }
  WEFT_HOST_DEVICE static float slope(float x) { return fast_gelu_slope(x); }
};

// The same with Phi(x) taken as (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  static constexpr float kScale = 0.797884561F, kCube = 0.044715F;
  WEFT_HOST_DEVICE static float inner(float x) { return kScale * (x + kCube * x * x * x); }
  WEFT_HOST_DEVICE static float value(float x) { return 0.5F * x * (1 + fast_tanh(inner(x))); }
  // tanh u and 1 - tanh^2 u from e^-2|u|: as a difference the latter would lose its digits where
  // it is multiplied by x^3.
  WEFT_HOST_DEVICE static float slope(float x) {
    const float u = inner(x);
    const float e = fast_exp(-2 * (u < 0 ? -u : u));
    const float r = quotient(1, 1 + e);
    const float t = (1 - e) * r;
    const float slope_of_t = 4 * e * r * r * kScale * (1 + 3 * kCube * x * x);
    return 0.5F * (1 + (u < 0 ? -t : t)) + 0.5F * x * slope_of_t;
  }
};

struct Relu {
  WEFT_HOST_DEVICE static float value(float x) { return x < 0 ? 0 : x; }  // NaN stays NaN
  WEFT_HOST_DEVICE static float slope(float x) { return x > 0 ? 1.0F : 0.0F; }
};

struct Tanh {
  WEFT_HOST_DEVICE static float value(float x) { return fast_tanh(x); }
  WEFT_HOST_DEVICE static float slope(float x) {
    const float t = fast_tanh(x);
    return 1 - t * t;
  }
};

// Calls body(F{}) for the function.
template <class Body>
void with_activation(Activation f, Body&& body) {
  switch (f) {
    case Activation::gelu:
      return body(Gelu{});
    case Activation::gelu_tanh:
      return body(GeluTanh{});
    case Activation::relu:
      return body(Relu{});
    case Activation::tanh:
      return body(Tanh{});
  }
}

}  // namespace weft
