// y = x w^T + bias.
#include "core/ops/linear.hpp"

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/ops/describe.hpp"

namespace weft {

namespace {

void check(const Var& x, const Var& w, const Var& bias) {
  const bool fits = w.shape().rank() == 2 && x.shape().rank() > 0 &&
                    x.shape().last() == w.shape()[1] && x.dtype() == w.dtype();
  if (!fits) {
    throw Error("linear: x " + describe(x.value()) + " does not fit w " + describe(w.value()),
                "w is [outputs, inputs], and x's last dim its inputs, in one dtype");
  }
  if (bias && !(bias.shape() == Shape{w.shape()[0]} && bias.dtype() == w.dtype())) {
    throw Error("linear: bias " + describe(bias.value()) + " does not fit w " + describe(w.value()),
                "bias has one element per row of w, in its dtype");
  }
}

}  // namespace

Var linear(const Var& x, const Var& w, const Var& bias) {
  check(x, w, bias);
  Tensor y(x.shape().with_last(w.shape()[0]), x.dtype(), x.value().device());
  backend(y).matmul(y, x.value(), w.value(),
                    {.transpose_b = true, .b_is_weight = true, .bias = bias.value()});

  // dx = dy w, dw = dy^T x, dbias = the column sums of dy. What no gradient needs is not kept.
  const bool wants_bias = bias.requires_grad();
  const Tensor kept_x = w.requires_grad() ? x.value() : Tensor{};
  const Tensor kept_w = x.requires_grad() ? w.value() : Tensor{};
  return record("linear", y, {x, w, bias},
                [x = kept_x, w = kept_w, x_shape = x.shape(), w_shape = w.shape(),
                 wants_bias](const Tensor& dy) -> Grads {
                  Grads grads(3);
                  if (w) {
                    grads[0] = Tensor(x_shape, dy.dtype(), dy.device());
                    backend(dy).matmul(grads[0], dy, w, {.b_is_weight = true});
                  }
                  if (wants_bias) grads[2] = Tensor({w_shape[0]}, DType::f32, dy.device());
                  if (x) {
                    grads[1] = Tensor(w_shape, DType::f32, dy.device());
                    backend(dy).matmul(grads[1], dy, x, {.transpose_a = true, .a_sums = grads[2]});
                  } else if (wants_bias) {
                    backend(dy).sum_rows(grads[2], dy);
                  }
                  return grads;
                });
}

}  // namespace weft
