// Elementwise ops.
#include "core/ops/elementwise.hpp"

#include "core/base/error.hpp"
#include "core/ops/describe.hpp"

namespace weft {

Var add(const Var& a, const Var& b) {
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) {
    throw Error("add: " + describe(a.value()) + " and " + describe(b.value()) + " differ",
                "both need one shape and dtype");
  }
  Tensor y = empty_like(a.value());
  backend(y).add(y, a.value(), b.value());
  return record("add", y, {a, b}, [](const Tensor& dy) -> Grads { return {dy, dy}; });
}

Var scale(const Var& x, float alpha) {
  Tensor y = empty_like(x.value());
  backend(y).scale(y, x.value(), alpha);
  return record("scale", y, {x}, [alpha](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(dy);
    backend(dy).scale(dx, dy, alpha);
    return {dx};
  });
}

Var cast(const Var& x, DType dtype) {
  if (dtype == x.dtype()) return x;
  if (!is_floating(x.dtype()) || !is_floating(dtype)) {
    throw Error("cast: " + describe(x.value()) + " to " + std::string(name_of(dtype)),
                "floating dtypes are cast to each other");
  }
  Tensor y = empty_like(x.value(), dtype);
  backend(y).copy(y, x.value());
  return record("cast", y, {x}, [from = x.dtype()](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(dy, from);
    backend(dy).copy(dx, dy);
    return {dx};
  });
}

Var reshape(const Var& x, const Shape& shape) {
  if (shape.numel() != x.shape().numel()) {
    throw Error("reshape: " + x.shape().str() + " to " + shape.str(),
                "both need the same number of elements");
  }
  return record("reshape", x.value().reshape(shape), {x},
                [from = x.shape()](const Tensor& dy) -> Grads { return {dy.reshape(from)}; });
}

// dx = dy f'(x)
Var activation(const Var& x, Activation f) {
  Tensor y = empty_like(x.value());
  backend(y).activation_forward(y, x.value(), f);
  return record("activation", y, {x}, [x = x.value(), f](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(x);
    backend(dy).activation_backward(dx, dy, x, f);
    return {dx};
  });
}

// dx = dy f'(x + bias), dbias its column sums
Var bias_activation(const Var& x, const Var& bias, Activation f) {
  if (x.shape().rank() == 0 || !(bias.shape() == Shape{x.shape().last()}) ||
      bias.dtype() != x.dtype()) {
    throw Error("bias_activation: bias " + describe(bias.value()) + " does not fit x " +
                    describe(x.value()),
                "bias has one element per column of x");
  }
  Tensor y = empty_like(x.value());
  backend(y).bias_activation_forward(y, x.value(), bias.value(), f);
  return record("bias_activation", y, {x, bias},
                [x = x.value(), bias = bias.value(), f](const Tensor& dy) -> Grads {
                  Tensor dx = empty_like(x);
                  Tensor dbias = empty_like(bias, DType::f32);
                  backend(dy).bias_activation_backward(dx, dbias, dy, x, bias, f);
                  return {dx, dbias};
                });
}

}  // namespace weft
