// BERT with its pretraining heads.
#include "models/bert/pretraining.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/nn/shard.hpp"
#include "core/ops/elementwise.hpp"
#include "core/ops/rows.hpp"
#include "models/hf_names.hpp"
#include "parallel/cross_entropy.hpp"

namespace weft {

namespace {

LinearOptions replicated(const BertConfig& c, const TensorOptions& options) {
  return {.parameters = options, .init_std = c.initializer_range, .replicate = true};
}

const std::vector<HfRule>& hf_rules() {
  static const std::vector<HfRule> rules{
      {"encoder.embeddings.word", {"bert.embeddings.word_embeddings"}},
      {"encoder.embeddings.position", {"bert.embeddings.position_embeddings"}},
      {"encoder.embeddings.token_type", {"bert.embeddings.token_type_embeddings"}},
      {"encoder.embeddings.norm", {"bert.embeddings.LayerNorm"}},
      {"encoder.layers.#.attention.qkv",
       {"bert.encoder.layer.#.attention.self.query", "bert.encoder.layer.#.attention.self.key",
        "bert.encoder.layer.#.attention.self.value"}},
      {"encoder.layers.#.attention.out", {"bert.encoder.layer.#.attention.output.dense"}},
      {"encoder.layers.#.attention.norm", {"bert.encoder.layer.#.attention.output.LayerNorm"}},
      {"encoder.layers.#.mlp.up", {"bert.encoder.layer.#.intermediate.dense"}},
      {"encoder.layers.#.mlp.down", {"bert.encoder.layer.#.output.dense"}},
      {"encoder.layers.#.mlp.norm", {"bert.encoder.layer.#.output.LayerNorm"}},
      {"encoder.pooler", {"bert.pooler.dense"}},
      {"mlm.transform", {"cls.predictions.transform.dense"}},
      {"mlm.norm", {"cls.predictions.transform.LayerNorm"}},
      {"mlm.bias", {"cls.predictions.bias"}},
      {"nsp", {"cls.seq_relationship"}}};
  return rules;
}

Tensor as_f32(const Var& x) {
  if (x.dtype() == DType::f32) return x.value();
  Tensor y = empty_like(x.value(), DType::f32);
  backend(y).copy(y, x.value());
  return y;
}

Var flat_rows(const Var& x_BTC) {
  const Shape& s = x_BTC.shape();
  return reshape(x_BTC, {s[0] * s[1], s[2]});
}

}  // namespace

MlmHead::MlmHead(const BertConfig& c, Communicator& tensor, const TensorOptions& options)
    : transform_(c.hidden_size, c.hidden_size, tensor, replicated(c, options)),
      norm_(c.hidden_size, c.layer_norm_eps, options),
      activation_(c.activation()) {
  const Shard shard{.dim = 0};
  bias_ = {.var = Var(Tensor(shard_shape({c.vocab_size}, shard, tensor.size()), options), true),
           .full = {c.vocab_size},
           .shard = shard,
           .init = {},
           .decay = false};
}

Var MlmHead::operator()(const Var& x_NC, const VocabEmbedding& words) const {
  const Var h = transform_(x_NC, activation_);
  return words.logits(norm_(h), bias_.var);
}

void MlmHead::visit(Visitor& v) {
  v("transform", transform_);
  v("norm", norm_);
  v("bias", bias_);
}

Bert::Bert(const BertConfig& c, Mesh& mesh, DType dtype)
    : config_(c), tensor_(&mesh.tensor()), encoder_(c, mesh.tensor(), {dtype, mesh.device()}) {
  const TensorOptions options{dtype, mesh.device()};
  if (c.mlm_head) mlm_.emplace(c, mesh.tensor(), options);
  if (c.nsp_head) nsp_.emplace(c.hidden_size, 2, mesh.tensor(), replicated(c, options));
}

std::vector<TermCount> Bert::counts(const Batch& batch) const {
  const auto* const targets = batch.masked_targets_N.data<std::int32_t>();
  const auto masked = std::count_if(targets, targets + batch.masked_targets_N.numel(),
                                    [](std::int32_t target) { return target >= 0; });
  std::vector<TermCount> terms = {{"mlm", masked}};
  if (batch.sentence_labels_B) terms.push_back({"nsp", batch.size()});
  return terms;
}

std::vector<LossTerm> Bert::losses(const Batch& batch, Pass& pass) const {
  std::vector<LossTerm> terms;
  const Var hidden_BTC = encoder_(batch, pass);
  const Var masked_NC = gather_rows(flat_rows(hidden_BTC), batch.masked_places_N);
  const VocabEmbedding& words = encoder_.word_embedding();
  const CrossEntropy mlm = vocab_cross_entropy((*mlm_)(masked_NC, words), batch.masked_targets_N,
                                               words.range().first, *tensor_);
  terms.push_back({mlm.loss, mlm.correct});
  if (batch.sentence_labels_B) {
    const CrossEntropy nsp =
        cross_entropy((*nsp_)(encoder_.pooled(hidden_BTC)), batch.sentence_labels_B);
    terms.push_back({nsp.loss, nsp.correct});
  }
  return terms;
}

std::vector<Output> Bert::outputs(const Batch& batch, bool hidden_states) const {
  const NoGrad no_grad;
  Pass pass;
  std::vector<Output> out;
  std::vector<Var> states;
  const Var hidden_BTC = encoder_(batch, pass, hidden_states ? &states : nullptr);
  for (std::size_t i = 0; i < states.size(); ++i) {
    out.push_back({"hidden_states." + std::to_string(i), as_f32(states[i])});
  }
  out.push_back({"last_hidden_state", as_f32(hidden_BTC)});
  if (encoder_.has_pooler()) {
    const Var pooled = encoder_.pooled(hidden_BTC);
    out.push_back({"pooler_output", as_f32(pooled)});
    if (nsp_) out.push_back({"seq_relationship_logits", as_f32((*nsp_)(pooled))});
  }
  if (mlm_) {
    const Tensor logits = as_f32((*mlm_)(flat_rows(hidden_BTC), encoder_.word_embedding()));
    out.push_back({"logits", logits.reshape({batch.size(), batch.length(), logits.shape()[1]})});
  }
  return out;
}

std::vector<HfTensor> Bert::hf_tensors(const NamedParameter& p) const {
  return translate(hf_rules(), p);
}

PretrainedNames Bert::pretrained_names() const {
  return {.base_prefix = "bert.",
          .ignored = {"bert.embeddings.position_ids"},
          .tied = {{"cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"},
                   {"cls.predictions.decoder.bias", "cls.predictions.bias"}}};
}

std::string Bert::hf_config() const { return to_json(config_).dump(2) + "\n"; }

double Bert::flops_per_sample(std::int64_t T, double masked) const {
  const auto H = static_cast<double>(config_.hidden_size);
  const auto I = static_cast<double>(config_.intermediate_size);
  const auto tokens = static_cast<double>(T);
  const double layer = tokens * (4 * H * H + 2 * H * I) + 2 * tokens * tokens * H;
  const double mlm = masked * (H * H + H * static_cast<double>(config_.vocab_size));
  const double pooler = config_.pooler ? H * H : 0;
  const double multiply_adds =
      static_cast<double>(config_.num_hidden_layers) * layer + mlm + pooler;
  return 3 * 2 * multiply_adds;  // backward costs twice the forward
}

void Bert::visit(Visitor& v) {
  v("encoder", encoder_);
  if (mlm_) v("mlm", *mlm_);
  if (nsp_) v("nsp", *nsp_);
}

}  // namespace weft
