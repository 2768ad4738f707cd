// One layer of the BERT encoder (Devlin et al., 2018), post-norm.
#pragma once

#include "core/nn/norm.hpp"
#include "core/ops/attention.hpp"
#include "models/bert/config.hpp"
#include "parallel/linear.hpp"

namespace weft {

class BertLayer final : public Module {
 public:
  BertLayer(const BertConfig& config, Communicator& tensor, const TensorOptions& options);

  Var operator()(const Var& x_BTC, const AttentionMask& mask, Pass& pass) const;
  void visit(Visitor& v) override;

 private:
  ColumnLinear qkv_;
  RowLinear out_;
  LayerNorm attention_norm_;
  ColumnLinear up_;
  RowLinear down_;
  LayerNorm mlp_norm_;
  Heads heads_;
  float p_attention_, p_hidden_;
  Activation activation_;
};

}  // namespace weft
