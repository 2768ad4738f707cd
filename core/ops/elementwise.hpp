// Elementwise ops.
#pragma once

#include "core/autograd/var.hpp"
#include "core/backend/backend.hpp"

namespace weft {

Var add(const Var& a, const Var& b);  // equal shapes and dtypes
inline Var operator+(const Var& a, const Var& b) { return add(a, b); }
Var scale(const Var& x, float alpha);
Var cast(const Var& x, DType dtype);  // the gradient is cast back
Var reshape(const Var& x, const Shape& shape);

Var activation(const Var& x, Activation f);
// f(x + bias), x [..., C], bias [C]; only x is saved.
Var bias_activation(const Var& x, const Var& bias, Activation f);

}  // namespace weft
