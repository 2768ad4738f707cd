// Linear maps.
#pragma once

#include "core/autograd/var.hpp"

namespace weft {

// y [..., O] = x [..., I] w^T + bias; w [O, I], bias [O] or an empty Var.
Var linear(const Var& x, const Var& w, const Var& bias = {});

}  // namespace weft
