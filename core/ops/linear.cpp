// y = x w^T + bias, and f of it.
#include "core/ops/linear.hpp"

#include <utility>

#include "core/autograd/backward.hpp"
#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/ops/describe.hpp"
#include "core/ops/elementwise.hpp"

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

// dx = dy w, dw = dy^T x, dbias = the column sums of dy. What no gradient needs is not kept.
class LinearBackward {
 public:
  LinearBackward(const Var& x, const Var& w, const Var& bias)
      : x_(w.requires_grad() ? x.value() : Tensor{}),
        w_(x.requires_grad() ? w.value() : Tensor{}),
        x_shape_(x.shape()),
        w_shape_(w.shape()),
        w_node_(w.node()),
        wants_bias_(bias.requires_grad()) {}

  Grads operator()(const Tensor& dy) const {
    Grads grads(3);
    if (w_) {
      grads[0] = Tensor(x_shape_, dy.dtype(), dy.device());
      backend(dy).matmul(grads[0], dy, w_, {.b_is_weight = true});
    }
    if (wants_bias_) grads[2] = Tensor({w_shape_[0]}, DType::f32, dy.device());
    if (x_) {
      auto [dw, accumulate] = gradient_part(*w_node_, w_shape_, dy.device());
      backend(dy).matmul(dw, dy, x_,
                         {.transpose_a = true, .accumulate = accumulate, .a_sums = grads[2]});
      grads[1] = std::move(dw);
    } else if (wants_bias_) {
      backend(dy).sum_rows(grads[2], dy);
    }
    return grads;
  }

 private:
  Tensor x_, w_;  // empty where they are not needed
  Shape x_shape_, w_shape_;
  std::shared_ptr<Node> w_node_;
  bool wants_bias_;
};

}  // namespace

Var linear(const Var& x, const Var& w, const Var& bias) {
  check(x, w, bias);
  Tensor y(x.shape().with_last(w.shape()[0]), x.dtype(), x.value().device());
  backend(y).matmul(y, x.value(), w.value(),
                    {.transpose_b = true, .b_is_weight = true, .bias = bias.value()});

  return record("linear", y, {x, w, bias}, LinearBackward(x, w, bias));
}

// With u = x w^T + bias: du = dy f'(u), the rest as of y = u.
Var linear_activation(const Var& x, const Var& w, const Var& bias, Activation f) {
  if (!bias || !backend(x.value()).fuses_activation(f, x.dtype()))
    return bias_activation(linear(x, w), bias, f);
  check(x, w, bias);
  Tensor y(x.shape().with_last(w.shape()[0]), x.dtype(), x.value().device());
  const Tensor u = empty_like(y);
  backend(y).matmul(y, x.value(), w.value(),
                    {.transpose_b = true,
                     .b_is_weight = true,
                     .bias = bias.value(),
                     .activation = f,
                     .before_activation = u});
  return record("linear_activation", y, {x, w, bias},
                [back = LinearBackward(x, w, bias), u, f](const Tensor& dy) -> Grads {
                  Tensor du = empty_like(u);
                  backend(dy).activation_backward(du, dy, u, f);
                  return back(du);
                });
}

}  // namespace weft
