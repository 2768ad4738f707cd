// BERT's input embeddings: word + position + token type, normalised.
#pragma once

#include "core/data/batch.hpp"
#include "core/nn/norm.hpp"
#include "models/bert/config.hpp"
#include "parallel/embedding.hpp"

namespace weft {

class BertEmbeddings final : public Module {
 public:
  BertEmbeddings(const BertConfig& config, Communicator& tensor, const TensorOptions& options);

  Var operator()(const Batch& batch, Pass& pass) const;  // [B, T, C]
  const VocabEmbedding& word() const { return word_; }   // tied to the MLM head's output layer
  void visit(Visitor& v) override;

 private:
  VocabEmbedding word_;
  Parameter position_, token_type_;
  LayerNorm norm_;
  float p_;
};

}  // namespace weft
