// One training step: from the micro-batches of a rank to summed gradients and their global norm.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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
  std::uint64_t seed = 0;
  std::int64_t step = 0;  // the dropout keys depend on it
  bool recompute = false;
  double loss_scale = 1;  // multiplies the loss, and so the gradients in the buckets
};

struct StepResult {
  std::vector<TermTotal> totals;  // of this rank
  double grad_norm = 0;  // of the whole gradient, loss_scale taken out; NaN and Inf come through
};

// Forward and backward over the micro-batches. Each term's sum is divided by its count in the
// global batch, so that the gradients of any split of the batch add up to the same. Afterwards
// `buckets` holds the gradients of the global batch. The host waits for the device once, at the
// end.
StepResult accumulate_gradients(const PretrainingModel& model, const std::vector<Batch>& batches,
                                const StepFacts& facts, const StepOptions& options,
                                GradientBuckets& buckets, Mesh& mesh);

// The sums of a forward pass without gradients, dropout off; adds to `totals`. The model is on
// `device`.
void add_evaluation(const PretrainingModel& model, const std::vector<Batch>& batches, Device device,
                    std::vector<TermTotal>& totals);

// Sums over the data ranks.
void reduce_totals(std::vector<TermTotal>& totals, Mesh& mesh);

// The training loss: the sum of the terms' means.
double total_loss(const std::vector<TermTotal>& totals);

}  // namespace weft
