// The bare BERT model.
#include "models/bert/encoder.hpp"

#include "core/backend/backend.hpp"
#include "core/nn/recompute.hpp"
#include "core/ops/elementwise.hpp"
#include "core/ops/rows.hpp"

namespace weft {

namespace {

std::vector<Var> leaves(Module& m) {
  std::vector<Var> list;
  for (const NamedParameter& p : parameters(m)) list.push_back(p.parameter->var);
  return list;
}

// Row b * T for each sample b.
Tensor first_tokens(std::int64_t B, std::int64_t T, Device device) {
  Tensor index({B}, DType::i32, device);
  backend(device).count_up(index, B, T);
  return index;
}

}  // namespace

BertEncoder::BertEncoder(const BertConfig& c, Communicator& tensor, const TensorOptions& options)
    : embeddings_(c, tensor, options) {
  layers_.reserve(static_cast<std::size_t>(c.num_hidden_layers));
  for (std::int64_t i = 0; i < c.num_hidden_layers; ++i) layers_.emplace_back(c, tensor, options);
  for (BertLayer& layer : layers_) layer_parameters_.push_back(leaves(layer));
  if (c.pooler) {
    pooler_.emplace(
        c.hidden_size, c.hidden_size, tensor,
        LinearOptions{.parameters = options, .init_std = c.initializer_range, .replicate = true});
  }
}

Var BertEncoder::operator()(const Batch& batch, Pass& pass, std::vector<Var>* states) const {
  const AttentionMask mask{.keys_BT = batch.key_mask_BT, .keys_are_prefix = batch.padding_is_last};
  Var x_BTC = embeddings_(batch, pass);
  if (states) states->push_back(x_BTC);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto layer = [this, i, mask](const std::vector<Var>& in, Pass& p) {
      return layers_[i](in[0], mask, p);
    };
    x_BTC = recompute(layer, {x_BTC}, layer_parameters_[i], pass);
    if (states) states->push_back(x_BTC);
  }
  return x_BTC;
}

Var BertEncoder::pooled(const Var& hidden_BTC) const {
  const Shape& s = hidden_BTC.shape();
  const Tensor places = first_tokens(s[0], s[1], hidden_BTC.value().device());
  const Var first = gather_rows(reshape(hidden_BTC, {s[0] * s[1], s[2]}), places);
  return (*pooler_)(first, Activation::tanh);
}

void BertEncoder::visit(Visitor& v) {
  v("embeddings", embeddings_);
  v("layers", layers_);
  if (pooler_) v("pooler", *pooler_);
}

}  // namespace weft
