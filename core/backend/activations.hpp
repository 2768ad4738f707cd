// The activation functions and their slopes for one float, on CPUs and GPUs.
#pragma once

#include "core/backend/backend.hpp"
#include "core/backend/fast_math.hpp"

namespace weft {

namespace scalar {

WEFT_HOST_DEVICE inline float one_above_zero(float x) { return x > 0 ? 1.0F : 0.0F; }

#include "core/backend/activations.inc"

}  // namespace scalar

using scalar::Gelu, scalar::GeluTanh, scalar::Relu, scalar::Tanh, scalar::with_activation;

}  // namespace weft
