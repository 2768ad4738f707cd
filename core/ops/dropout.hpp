// Dropout.
#pragma once

#include "core/autograd/var.hpp"
#include "core/ops/pass.hpp"

namespace weft {

// Inverted dropout of x [B, ...], dim 0 the batch; the mask is not saved but drawn again in
// backward.
Var dropout(const Var& x, float p, Pass& pass);

}  // namespace weft
