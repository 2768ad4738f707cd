// The bare BERT model: embeddings, layers, and the pooler on the first token.
#pragma once

#include <optional>
#include <vector>

#include "models/bert/embeddings.hpp"
#include "models/bert/layer.hpp"

namespace weft {

class BertEncoder final : public Module {
 public:
  BertEncoder(const BertConfig& config, Communicator& tensor, const TensorOptions& options);

  // The last hidden state [B, T, C]; `states`, unless null, receives the embeddings' and every
  // layer's output.
  Var operator()(const Batch& batch, Pass& pass, std::vector<Var>* states = nullptr) const;
  // tanh(W h_0 + b) of the first token: [B, C].
  Var pooled(const Var& hidden_BTC) const;
  bool has_pooler() const { return pooler_.has_value(); }
  const VocabEmbedding& word_embedding() const { return embeddings_.word(); }
  void visit(Visitor& v) override;

 private:
  BertEmbeddings embeddings_;
  std::vector<BertLayer> layers_;
  std::vector<std::vector<Var>> layer_parameters_;  // what recompute lists as inputs
  std::optional<ColumnLinear> pooler_;
};

}  // namespace weft
