// What the trainer asks of a model.
#pragma once

#include <string>
#include <vector>

#include "core/data/batch.hpp"
#include "core/nn/module.hpp"
#include "core/ops/pass.hpp"
#include "parallel/pretrained.hpp"

namespace weft {

// One part of the training loss: a SUM over the targets of this micro-batch. The trainer divides by
// their count in the whole global batch, so any split of it over ranks and micro-batches gives one
// gradient.
struct LossTerm {
  Var sum;         // f32 [1]
  Tensor correct;  // f32 [1]: right predictions
};

// How many targets a term has, which the batch alone tells.
struct TermCount {
  std::string name;  // "mlm", "nsp"
  std::int64_t count = 0;
};

// Where a parameter's values stand among the Hugging Face tensors: rows [first, first + count) of
// the full parameter, reshaped to `shape`.
struct HfTensor {
  std::string name;
  std::int64_t first = 0;
  std::int64_t count = 0;
  Shape shape;
};

// A named result of a forward pass without gradients.
struct Output {
  std::string name;  // "last_hidden_state", "pooler_output", "logits", "hidden_states.0" ...
  Tensor value;      // f32
};

class PretrainingModel : public Module {
 public:
  virtual std::vector<LossTerm> losses(const Batch& batch, Pass& pass) const = 0;
  // Of the terms of losses(), in the same order, for a batch on the host.
  virtual std::vector<TermCount> counts(const Batch& batch) const = 0;
  // Everything the model computes, over all places of the batch, dropout off.
  virtual std::vector<Output> outputs(const Batch& batch, bool hidden_states) const = 0;
  virtual std::vector<HfTensor> hf_tensors(const NamedParameter& p) const = 0;
  // What published files of this family may do with those names.
  virtual PretrainedNames pretrained_names() const = 0;
  // config.json of the model, complete.
  virtual std::string hf_config() const = 0;
  // Multiply-add pairs times two of forward and backward, per sample of T tokens with N masked
  // places: for MFU.
  virtual double flops_per_sample(std::int64_t T, double masked) const = 0;
};

}  // namespace weft
