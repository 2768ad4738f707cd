// Batches of a training step for one data rank, made ahead of time by a thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/data/batch.hpp"
#include "core/data/dataset.hpp"

namespace weft {

// A step has global_batch samples, from where the one before it ended. Data rank r of D takes the
// r-th of D equal runs of them, cut into micro-batches; global_batch must divide by
// micro_batch * data_ranks.
struct LoaderOptions {
  std::int64_t global_batch = 1;
  std::int64_t micro_batch = 1;
  std::int64_t data_rank = 0;
  std::int64_t data_ranks = 1;
  std::int64_t first_sample = 0;  // a resumed run starts here; costs nothing
  // All batches have the same shapes, as GPUs like it: one choice of algorithms serves all.
  bool fixed_shapes = false;
  int prefetch = 2;  // steps made ahead
};

// The micro-batches of the step that begins at a sample, in order: a pure function.
std::vector<Batch> step_batches(const Dataset& dataset, const LoaderOptions& options,
                                std::int64_t first_sample);

// Yields step_batches() of first_sample, first_sample + global_batch, ... The dataset must outlive
// it. An error while making a batch is thrown by the next() that would have returned it.
class Loader {
 public:
  Loader(const Dataset& dataset, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::vector<Batch> next();

 private:
  struct Queue;
  std::unique_ptr<Queue> queue_;
};

}  // namespace weft
