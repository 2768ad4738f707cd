// Layer normalisation, alone and fused with the bias, dropout and residual sum before it.
#include "core/ops/layer_norm.hpp"

#include "core/base/error.hpp"
#include "core/ops/describe.hpp"

namespace weft {

namespace {

void check_column_vector(const char* op, const char* name, const Tensor& v, const Tensor& x) {
  if (x.shape().rank() > 0 && v.shape() == Shape{x.shape().last()} && v.dtype() == x.dtype())
    return;
  throw Error(std::string(op) + ": " + name + " " + describe(v) + " does not fit x " + describe(x),
              std::string(name) + " has one element per column of x, in the same dtype");
}

}  // namespace

// With x_hat = (x - mean) rstd and g = dy gamma, means taken over each row:
//   dx = rstd (g - mean(g) - x_hat mean(g x_hat)),  dgamma = sum dy x_hat,  dbeta = sum dy.
//
// Source: Ba, Kiros, Hinton, "Layer normalization", 2016.
Var layer_norm(const Var& x, const Var& gamma, const Var& beta, float eps) {
  check_column_vector("layer_norm", "gamma", gamma.value(), x.value());
  check_column_vector("layer_norm", "beta", beta.value(), x.value());
  Tensor y = empty_like(x.value());
  Tensor mean_N({x.shape().rows()}, DType::f32, y.device());
  Tensor rstd_N = empty_like(mean_N);
  backend(y).layer_norm_forward(y, mean_N, rstd_N, x.value(), gamma.value(), beta.value(), eps);
  return record("layer_norm", y, {x, gamma, beta},
                [x = x.value(), gamma = gamma.value(), mean_N, rstd_N](const Tensor& dy) -> Grads {
                  Tensor dx = empty_like(x);
                  Tensor dgamma = empty_like(gamma, DType::f32);
                  Tensor dbeta = empty_like(dgamma);
                  backend(dy).layer_norm_backward(dx, dgamma, dbeta, dy, x, mean_N, rstd_N, gamma);
                  return {dx, dgamma, dbeta};
                });
}

// With s = residual + dropout(x + bias): dresidual is layer_norm's gradient of s, dx is dropout's
// of dresidual, dbias the column sums of dx. Kept are s and its statistics; the mask is drawn
// again.
Var residual_norm(const Var& x, const Var& bias, const Var& residual, const Var& gamma,
                  const Var& beta, float eps, float p, Pass& pass) {
  check_column_vector("residual_norm", "gamma", gamma.value(), x.value());
  check_column_vector("residual_norm", "beta", beta.value(), x.value());
  if (bias) check_column_vector("residual_norm", "bias", bias.value(), x.value());
  if (!(residual.shape() == x.shape()) || residual.dtype() != x.dtype()) {
    throw Error("residual_norm: residual " + describe(residual.value()) + " does not fit x " +
                    describe(x.value()),
                "both need one shape and dtype");
  }
  if (!(p >= 0 && p < 1)) {
    throw Error("residual_norm: p = " + std::to_string(p) + " on " + describe(x.value()),
                "p is a probability below 1");
  }
  const std::int64_t batch = x.shape()[0];
  const Dropout mask = pass.next_dropout(p, batch == 0 ? 0 : x.shape().numel() / batch);
  Tensor y = empty_like(x.value());
  Tensor sum = empty_like(y);
  Tensor mean_N({x.shape().rows()}, DType::f32, y.device());
  Tensor rstd_N = empty_like(mean_N);
  backend(y).residual_norm_forward(y, sum, mean_N, rstd_N,
                                   {.x = x.value(),
                                    .bias = bias.value(),
                                    .residual = residual.value(),
                                    .gamma = gamma.value(),
                                    .beta = beta.value(),
                                    .eps = eps,
                                    .dropout = mask});
  return record("residual_norm", y, {x, bias, residual, gamma, beta},
                [sum, mean_N, rstd_N, gamma = gamma.value(), mask,
                 has_bias = static_cast<bool>(bias)](const Tensor& dy) -> Grads {
                  Tensor dresidual = empty_like(sum);
                  Tensor dx = mask.p == 0 ? dresidual : empty_like(sum);
                  Tensor dgamma = empty_like(gamma, DType::f32);
                  Tensor dbeta = empty_like(dgamma);
                  Tensor dbias = has_bias ? empty_like(dgamma) : Tensor{};
                  backend(dy).residual_norm_backward(dx, dresidual, dbias, dgamma, dbeta, dy, sum,
                                                     mean_N, rstd_N, gamma, mask);
                  return {dx, dbias, dresidual, dgamma, dbeta};
                });
}

}  // namespace weft
