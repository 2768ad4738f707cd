// Layer normalisation, alone and fused with the bias, dropout and residual sum before it.
#pragma once

#include "core/autograd/var.hpp"
#include "core/ops/pass.hpp"

namespace weft {

// Over the last dim C of x; gamma, beta [C].
Var layer_norm(const Var& x, const Var& gamma, const Var& beta, float eps);

// layer_norm(residual + dropout(x + bias)): the end of a post-norm sub-layer. x, residual [B, ...,
// C]; bias [C].
Var residual_norm(const Var& x, const Var& bias, const Var& residual, const Var& gamma,
                  const Var& beta, float eps, float p, Pass& pass);

}  // namespace weft
