// LayerNorm as a module.
#include "core/nn/norm.hpp"

namespace weft {

namespace {

Parameter vector_parameter(std::int64_t width, const TensorOptions& options, Init::Kind start) {
  return {.var = Var(Tensor({width}, options), true),
          .full = {width},
          .shard = {},
          .init = {.kind = start},
          .decay = false};
}

}  // namespace

LayerNorm::LayerNorm(std::int64_t width, float eps, const TensorOptions& options)
    : weight_(vector_parameter(width, options, Init::Kind::ones)),
      bias_(vector_parameter(width, options, Init::Kind::zeros)),
      eps_(eps) {}

Var LayerNorm::operator()(const Var& x) const {
  return layer_norm(x, weight_.var, bias_.var, eps_);
}

Var LayerNorm::operator()(const Var& residual, const Var& x, const Var& bias, float p,
                          Pass& pass) const {
  return residual_norm(x, bias, residual, weight_.var, bias_.var, eps_, p, pass);
}

void LayerNorm::visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
}

}  // namespace weft
