// One training step: from the micro-batches of a rank to summed gradients and their global norm.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/backend/backend.hpp"
#include "core/data/batch.hpp"
#include "models/task.hpp"
#include "parallel/data_parallel.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// One part of the loss over some samples.
struct TermTotal {
  std::string name;
  double sum = 0, correct = 0;
  std::int64_t count = 0;

  double mean() const { return count == 0 ? 0 : sum / static_cast<double>(count); }
  double accuracy() const { return count == 0 ? 0 : correct / static_cast<double>(count); }
};

// What all ranks know of a step before it begins.
struct StepFacts {
  std::vector<std::int64_t> counts;  // targets of each term in the whole global batch
  std::int64_t tokens = 0;           // of the global batch, padding not counted
  bool stop = false;                 // some rank was asked to stop
};

// One small all-reduce over the world: the same answer on every rank.
StepFacts agree_on_step(const PretrainingModel& model, const std::vector<Batch>& batches, bool stop,
                        Mesh& mesh);

struct StepOptions {
  std::uint64_t seed = 0;  // of the dropouts, which depend on the step as well
  bool recompute = false;
  // The third step is captured as one graph of the device, and done again by all later ones: for
  // models so small that a GPU waits for the host, which issues kernels one by one. All batches
  // must have the same shapes.
  bool device_graph = false;
};

struct StepResult {
  std::vector<TermTotal> totals;  // of this rank
  double grad_norm = 0;  // of the whole gradient, loss_scale taken out; NaN and Inf come through
  bool was_captured = false;  // as a graph, in this step
};

// Forward and backward over the micro-batches of a step.
class TrainingStep {
 public:
  // All of it outlives this object; the model's parameters are those of the buckets.
  TrainingStep(const PretrainingModel& model, GradientBuckets& buckets, Mesh& mesh,
               const StepOptions& options);

  // Each term's sum is divided by its count in the global batch, so that the gradients of any split
  // of the batch add up to the same; `loss_scale` multiplies the loss, and so the gradients.
  // Afterwards the buckets hold the gradients of the global batch. The host waits for the device
  // once, at the end. `batches` are on the host.
  StepResult take(const std::vector<Batch>& batches, const StepFacts& facts, std::int64_t step,
                  double loss_scale = 1);

 private:
  // What is different in each step.
  struct Inputs {
    std::vector<Batch> batches;
    Tensor step;          // i32 [1]
    Tensor term_weights;  // f32: what a unit of a term's sum adds to the loss
  };
  struct Outputs {
    std::vector<Tensor> scalars;  // of each batch and each term the sum and the right ones
    Tensor squared_norms;         // f64, of each parameter's gradient
  };

  static Inputs inputs_of(const std::vector<Batch>& batches, const StepFacts& facts,
                          std::int64_t step, double loss_scale);
  Inputs on_device(const Inputs& host) const;
  void upload(const Inputs& host);
  Outputs issue(const Inputs& in);

  const PretrainingModel& model_;
  GradientBuckets& buckets_;
  Mesh& mesh_;
  StepOptions options_;
  int uncaptured_steps_ = 0;
  Inputs graph_inputs_;
  Outputs graph_outputs_;
  std::unique_ptr<DeviceGraph> graph_;  // of one step, from graph_inputs_ to graph_outputs_
};

// The sums of a forward pass without gradients, dropout off; adds to `totals`. The model is on
// `device`.
void add_evaluation(const PretrainingModel& model, const std::vector<Batch>& batches, Device device,
                    std::vector<TermTotal>& totals);

// Sums over the data ranks.
void reduce_totals(std::vector<TermTotal>& totals, Mesh& mesh);

// The training loss: the sum of the terms' means.
double total_loss(const std::vector<TermTotal>& totals);

}  // namespace weft
