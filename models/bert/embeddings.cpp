// BERT's input embeddings.
#include "models/bert/embeddings.hpp"

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/ops/dropout.hpp"
#include "core/ops/elementwise.hpp"
#include "core/ops/rows.hpp"

namespace weft {

namespace {

Init table_init(const BertConfig& c, std::int64_t zero_row = -1) {
  return {.kind = Init::Kind::normal, .std = c.initializer_range, .zero_row = zero_row};
}

Parameter table(std::int64_t rows, const BertConfig& c, const TensorOptions& options) {
  return {.var = Var(Tensor({rows, c.hidden_size}, options), true),
          .full = {rows, c.hidden_size},
          .shard = {},
          .init = table_init(c)};
}

// 0 ... T - 1 for each of B samples.
Tensor positions(const Tensor& ids_BT) {
  Tensor p = empty_like(ids_BT);
  backend(p).count_up(p, ids_BT.shape()[1], 1);
  return p;
}

}  // namespace

BertEmbeddings::BertEmbeddings(const BertConfig& c, Communicator& tensor,
                               const TensorOptions& options)
    : word_(c.vocab_size, c.hidden_size, tensor, options, table_init(c, c.pad_token_id)),
      position_(table(c.max_position_embeddings, c, options)),
      token_type_(table(c.type_vocab_size, c, options)),
      norm_(c.hidden_size, c.layer_norm_eps, options),
      p_(c.hidden_dropout_prob) {}

Var BertEmbeddings::operator()(const Batch& batch, Pass& pass) const {
  if (batch.length() > position_.full[0]) {
    throw InputError("a text of " + std::to_string(batch.length()) +
                         " tokens is longer than the model's " + std::to_string(position_.full[0]) +
                         " positions",
                     "truncate it, or use a model with more max_position_embeddings");
  }
  const Var words = word_(batch.ids_BT);
  const Var places = embedding(position_.var, positions(batch.ids_BT));
  const Var types = embedding(token_type_.var, batch.type_ids_BT);
  return dropout(norm_(words + places + types), p_, pass);
}

void BertEmbeddings::visit(Visitor& v) {
  v("word", word_);
  v("position.weight", position_);
  v("token_type.weight", token_type_);
  v("norm", norm_);
}

}  // namespace weft
