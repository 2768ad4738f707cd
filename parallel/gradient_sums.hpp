// How the gradients of data ranks are added up, and where they are put for it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/nn/module.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// A step is begin(), complete() for the parameters that get a gradient, finish() and end(); the
// first step follows an end(), too.
class GradientSums {
 public:
  virtual ~GradientSums() = default;
  // Where this rank's gradients are wanted: one f32 tensor for each parameter, of its shape.
  virtual const std::vector<Tensor>& places() const = 0;
  // From now on they may be written.
  virtual void begin() {}
  // This one is written, and not again in this step.
  virtual void complete(std::size_t parameter) = 0;
  // All are written; when this returns they are summed over the ranks.
  virtual void finish() = 0;
  // One tensor for each parameter, until end(); to be read only.
  virtual const std::vector<Tensor>& sums() const = 0;
  // The sum of squares of each, f64 [n] on the device. Collective.
  virtual Tensor squared_norms() const = 0;
  virtual void end() = 0;
};

// In memory that all ranks of `data` have mapped; null on all of them when they share none.
// Collective.
std::unique_ptr<GradientSums> shared_gradients(const std::vector<NamedParameter>& parameters,
                                               Communicator& data);

struct BucketOptions {
  std::int64_t bucket_bytes = std::int64_t{32} << 20;  // a larger parameter has a bucket of its own
  bool overlap = true;                                 // false: everything is reduced in finish()
};

// In flat buckets of consecutive parameters, last visited first, which is about the order in which
// backward completes them: a bucket is reduced in the background as soon as it and all before it
// are complete. Collective over `data`, which outlives it.
std::unique_ptr<GradientSums> bucketed_gradients(const std::vector<NamedParameter>& parameters,
                                                 Communicator& data, const BucketOptions& options);

}  // namespace weft
