// BERT with its pretraining heads: masked language model and next-sentence prediction.
#pragma once

#include <optional>

#include "models/bert/encoder.hpp"
#include "models/task.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// The MLM head: dense, activation, norm, and the output layer tied to the word embeddings.
class MlmHead final : public Module {
 public:
  MlmHead(const BertConfig& config, Communicator& tensor, const TensorOptions& options);
  // x [N, C] -> logits over this rank's part of the vocabulary.
  Var operator()(const Var& x_NC, const VocabEmbedding& words) const;
  void visit(Visitor& v) override;

 private:
  ColumnLinear transform_;
  LayerNorm norm_;
  Parameter bias_;  // [V], cut like the vocabulary
  Activation activation_;
};

class Bert final : public PretrainingModel {
 public:
  // The parameters are of this dtype, on the mesh's device.
  Bert(const BertConfig& config, Mesh& mesh, DType dtype);

  std::vector<LossTerm> losses(const Batch& batch, Pass& pass) const override;
  std::vector<TermCount> counts(const Batch& batch) const override;
  std::vector<Output> outputs(const Batch& batch, bool hidden_states) const override;
  std::vector<HfTensor> hf_tensors(const NamedParameter& p) const override;
  PretrainedNames pretrained_names() const override;
  std::string hf_config() const override;
  double flops_per_sample(std::int64_t T, double masked) const override;
  void visit(Visitor& v) override;

 private:
  BertConfig config_;
  Communicator* tensor_;
  BertEncoder encoder_;
  std::optional<MlmHead> mlm_;
  std::optional<ColumnLinear> nsp_;
};

}  // namespace weft
