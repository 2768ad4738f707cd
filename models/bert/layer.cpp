// One layer of the BERT encoder.
//
// B batch, T tokens, C hidden. On each of the t tensor ranks: heads/t heads, intermediate/t
// features.
#include "models/bert/layer.hpp"

#include "core/ops/elementwise.hpp"

namespace weft {

namespace {

LinearOptions options(const BertConfig& c, DType dtype, int segments = 1) {
  return {.dtype = dtype, .init_std = c.initializer_range, .segments = segments};
}

Heads local_heads(const BertConfig& c, const Communicator& tensor) {
  const std::int64_t count = c.num_attention_heads / tensor.size();
  return {.count = count, .first = count * tensor.rank(), .total = c.num_attention_heads};
}

}  // namespace

BertLayer::BertLayer(const BertConfig& c, Communicator& tensor, DType dtype)
    : qkv_(c.hidden_size, 3 * c.hidden_size, tensor, options(c, dtype, 3)),
      out_(c.hidden_size, c.hidden_size, tensor, options(c, dtype)),
      attention_norm_(c.hidden_size, c.layer_norm_eps, dtype),
      up_(c.hidden_size, c.intermediate_size, tensor, options(c, dtype)),
      down_(c.intermediate_size, c.hidden_size, tensor, options(c, dtype)),
      mlp_norm_(c.hidden_size, c.layer_norm_eps, dtype),
      heads_(local_heads(c, tensor)),
      p_attention_(c.attention_probs_dropout_prob),
      p_hidden_(c.hidden_dropout_prob),
      activation_(c.activation()) {}

Var BertLayer::operator()(const Var& x_BTC, const AttentionMask& mask, Pass& pass) const {
  const Var mixed = attention(qkv_(x_BTC), mask, heads_, p_attention_, pass);
  const Var h_BTC = attention_norm_(x_BTC, out_.product(mixed), out_.bias(), p_hidden_, pass);
  const Var inner = bias_activation(up_.product(h_BTC), up_.bias(), activation_);
  return mlp_norm_(h_BTC, down_.product(inner), down_.bias(), p_hidden_, pass);
}

void BertLayer::visit(Visitor& v) {
  v("attention.qkv", qkv_);
  v("attention.out", out_);
  v("attention.norm", attention_norm_);
  v("mlp.up", up_);
  v("mlp.down", down_);
  v("mlp.norm", mlp_norm_);
}

}  // namespace weft
