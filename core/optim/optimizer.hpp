// AdamW and LAMB over the parameters of a model, with fp32 master weights.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/backend/backend.hpp"
#include "core/nn/module.hpp"
#include "core/optim/update_sharing.hpp"

namespace weft {

enum class OptimizerType { adamw, lamb };

struct OptimizerOptions {
  OptimizerType type = OptimizerType::adamw;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0.01;   // decoupled; not for a Parameter whose `decay` is false
  bool bias_correction = true;  // the original BERT and LAMB train without
  // LAMB over tensor ranks: adds up squared norms, f64 and in place, over the ranks that hold the
  // parts of a parameter. Called once a step, on every rank. Empty when nothing is sharded.
  std::function<void(Tensor&)> sum_over_tensor_ranks = {};
  // Ranks among which the update is shared out; none: this rank does all of it.
  std::shared_ptr<UpdateSharing> sharing = {};
};

struct OptimizerStep {
  double lr = 0;
  double grad_scale = 1;    // multiplies each gradient: clipping
  std::int64_t update = 1;  // which update this is, from 1: for the bias correction
};

// Master weights and moments are f32. The master of an f32 parameter is the parameter's own tensor;
// a bf16 parameter is a rounded copy of its master, written in the same pass. Apart from the
// tensors an Optimizer has no state, so restoring those continues bit for bit.
//
// Ranks that share the update have one set of tensors, masters, moments and parameters, which all
// of them see, and make the same calls: what an Optimizer writes is whole when its call returns.
class Optimizer {
 public:
  // Masters start at the parameters' values, moments at 0. The parameters must outlive this.
  Optimizer(std::vector<NamedParameter> parameters, OptimizerOptions options);

  // One update; `gradients` are f32, one per parameter and of its shape, and only read. Throws
  // Error naming the parameter whose gradient does not fit.
  void step(const std::vector<Tensor>& gradients, const OptimizerStep& step);

  // In the order of the parameters: to save, or to be filled in load().
  const std::vector<Tensor>& master() const { return w_; }
  // The moments under Hugging Face's names of them: {"exp_avg.", ...}, {"exp_avg_sq.", ...}.
  std::vector<std::pair<std::string, std::vector<Tensor>>> state() const;

  // `write` fills master() and state(), on all ranks that share them with the same values; then the
  // parameters are brought in line. Nobody reads or updates meanwhile.
  void load(const std::function<void()>& write);

 private:
  std::vector<Tensor> new_masters() const;
  std::vector<Tensor> new_tensors() const;
  Tensor own_part(const Tensor& x, std::size_t i) const;
  void write_together(const std::function<void()>& write);
  void check(const std::vector<Tensor>& gradients) const;
  void lamb(const std::vector<AdamTensors>& all, const AdamArgs& args);
  AdamTensors tensors(std::size_t i, const Tensor& gradient) const;

  std::vector<NamedParameter> parameters_;
  OptimizerOptions options_;
  std::vector<Tensor> w_, m_, v_;
};

}  // namespace weft
