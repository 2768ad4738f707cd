// Linear layers cut over the tensor axis (Shoeybi et al., "Megatron-LM", 2019).
#pragma once

#include <string_view>

#include "core/backend/backend.hpp"
#include "core/nn/module.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// Throws InputError "WHAT do not divide over 8 tensor ranks" unless they do; `what` names number,
// thing and, if there is one, the key: "model.num_attention_heads: 12 heads".
void require_divides(std::string_view what, std::int64_t count, int tensor_ranks);

struct LinearOptions {
  TensorOptions parameters;
  float init_std = 0.02F;
  int segments = 1;        // a fused qkv weight has three, each cut by itself
  bool replicate = false;  // every tensor rank holds and computes the whole: small heads
};

// y = x w^T + b with the output features cut: each of t ranks makes out / t of them. x [..., in] is
// whole on every rank, y [..., out / t].
class ColumnLinear final : public Module {
 public:
  // Throws InputError when `out` does not divide. Parameters are allocated, not initialised.
  ColumnLinear(std::int64_t in, std::int64_t out, Communicator& tensor,
               const LinearOptions& options);
  Var operator()(const Var& x) const;
  Var operator()(const Var& x, Activation f) const;  // f(y)
  void visit(Visitor& v) override;                   // "weight", "bias"

 private:
  Var whole_input(const Var& x) const;

  Parameter weight_, bias_;
  Communicator* tensor_;  // null when the layer is not cut
};

// y = sum over ranks of x_r w_r^T, then + b: the input features are cut, x [..., in / t]; the
// output y [..., out] is whole on every rank.
class RowLinear final : public Module {
 public:
  // Throws InputError when `in` does not divide. Parameters are allocated, not initialised.
  RowLinear(std::int64_t in, std::int64_t out, Communicator& tensor, const LinearOptions& options);
  Var operator()(const Var& x) const;
  Var product(const Var& x) const;  // without the bias, which joins a fused op
  const Var& bias() const { return bias_.var; }
  void visit(Visitor& v) override;  // "weight", "bias"

 private:
  Parameter weight_, bias_;
  Communicator* tensor_;  // null when the layer is not cut
};

}  // namespace weft
