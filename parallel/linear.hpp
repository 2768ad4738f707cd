// Linear layers cut over the tensor axis (Shoeybi et al., "Megatron-LM", 2019).
#pragma once

#include "core/nn/module.hpp"
#include "parallel/communicator.hpp"

namespace weft {

struct LinearOptions {
  DType dtype = DType::f32;
  float init_std = 0.02F;
  int segments = 1;        // a fused qkv weight has three, each cut by itself
  bool replicate = false;  // every tensor rank holds and computes the whole: small heads
  bool truncated = false;  // initialise with a truncated normal
};

// y = x w^T + b with the output features cut: each of t ranks makes out / t of them.
class ColumnLinear final : public Module {
 public:
  ColumnLinear(std::int64_t in, std::int64_t out, Communicator& tensor,
               const LinearOptions& options);
  Var operator()(const Var& x) const;  // with bias
  Var product(const Var& x) const;     // without: the bias joins a fused op
  const Var& bias() const { return bias_.var; }
  void visit(Visitor& v) override;  // "weight", "bias"

 private:
  Parameter weight_, bias_;
  Communicator* tensor_;
};

// y = sum over ranks of x_r w_r^T, then + b: the input features are cut, the output is whole on
// every rank.
class RowLinear final : public Module {
 public:
  RowLinear(std::int64_t in, std::int64_t out, Communicator& tensor, const LinearOptions& options);
  Var operator()(const Var& x) const;
  Var product(const Var& x) const;
  const Var& bias() const { return bias_.var; }
  void visit(Visitor& v) override;

 private:
  Parameter weight_, bias_;
  Communicator* tensor_;
};

}  // namespace weft
