// Linear maps, and what follows them at once.
#pragma once

#include "core/autograd/var.hpp"
#include "core/backend/backend.hpp"

namespace weft {

// y [..., O] = x [..., I] w^T + bias; w [O, I], bias [O] or an empty Var.
Var linear(const Var& x, const Var& w, const Var& bias = {});
// y = f(x w^T + bias): bias and f in the product's kernel where the backend has that, else in one
// of their own. One tensor of y's size is saved either way.
Var linear_activation(const Var& x, const Var& w, const Var& bias, Activation f);

}  // namespace weft
