// One layer of the BERT encoder.
//
// B batch, T tokens, C hidden. On each of the t tensor ranks: heads/t heads, intermediate/t
// features.
#include "models/bert/layer.hpp"

namespace weft {

namespace {

LinearOptions linear_options(const BertConfig& c, const TensorOptions& options, int segments = 1) {
  return {.parameters = options, .init_std = c.initializer_range, .segments = segments};
}

Heads local_heads(const BertConfig& c, const Communicator& tensor) {
  const std::int64_t count = c.num_attention_heads / tensor.size();
  return {.count = count, .first = count * tensor.rank(), .total = c.num_attention_heads};
}

}  // namespace

BertLayer::BertLayer(const BertConfig& c, Communicator& tensor, const TensorOptions& options)
    : qkv_(c.hidden_size, 3 * c.hidden_size, tensor, linear_options(c, options, 3)),
      out_(c.hidden_size, c.hidden_size, tensor, linear_options(c, options)),
      attention_norm_(c.hidden_size, c.layer_norm_eps, options),
      up_(c.hidden_size, c.intermediate_size, tensor, linear_options(c, options)),
      down_(c.intermediate_size, c.hidden_size, tensor, linear_options(c, options)),
      mlp_norm_(c.hidden_size, c.layer_norm_eps, options),
      heads_(local_heads(c, tensor)),
      p_attention_(c.attention_probs_dropout_prob),
      p_hidden_(c.hidden_dropout_prob),
      activation_(c.activation()) {}

Var BertLayer::operator()(const Var& x_BTC, const AttentionMask& mask, Pass& pass) const {
  const Var mixed = attention(qkv_(x_BTC), mask, heads_, p_attention_, pass);
  const Var h_BTC = attention_norm_(x_BTC, out_.product(mixed), out_.bias(), p_hidden_, pass);
  const Var inner = up_(h_BTC, activation_);
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
