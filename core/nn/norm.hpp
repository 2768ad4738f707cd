// LayerNorm as a module.
#pragma once

#include "core/nn/module.hpp"
#include "core/ops/layer_norm.hpp"

namespace weft {

class LayerNorm final : public Module {
 public:
  LayerNorm(std::int64_t width, float eps, const TensorOptions& options);

  Var operator()(const Var& x) const;
  // layer_norm(residual + dropout(x + bias)): the end of a post-norm sub-layer in one kernel.
  Var operator()(const Var& residual, const Var& x, const Var& bias, float p, Pass& pass) const;
  void visit(Visitor& v) override;  // "weight", "bias"

 private:
  Parameter weight_, bias_;
  float eps_;
};

}  // namespace weft
