// What the trainer asks of a model.
#pragma once

#include <string>
#include <vector>

#include "core/data/batch.hpp"
#include "core/nn/module.hpp"
#include "core/ops/pass.hpp"
#include "parallel/pretrained.hpp"

namespace weft {

// One part of the training loss: a SUM over `count` targets of this micro-batch. The trainer
// divides by the count of the whole global batch, so any split of it over ranks and micro-batches
// gives one gradient.
struct LossTerm {
  std::string name;        // "mlm", "nsp"
  Var sum;                 // f32 [1]
  Tensor correct;          // f32 [1]: right predictions among the count
  std::int64_t count = 0;  // known from the batch alone
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
  // The counts of losses() without running the model, in the same order with the same names.
  virtual std::vector<LossTerm> counts(const Batch& batch) const = 0;
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
