// Sums over ranks that go on while the caller computes.
#pragma once

#include "core/tensor/tensor.hpp"

namespace weft {

// Made by Communicator::background_reducer(); all ranks make the same calls in the same order.
class BackgroundReducer {
 public:
  // Outside of error handling everything was waited for.
  virtual ~BackgroundReducer() = default;

  // Sums x over the ranks, in place, after all that was given before and all that was issued to
  // its device. x must stay untouched until wait().
  virtual void all_reduce(const Tensor& x) = 0;
  // On the host: until everything given is reduced. On a GPU the host goes on: what is issued to
  // the device from now on finds everything reduced. Rethrows the first error; after one nothing
  // more is reduced, and each later wait() throws it again.
  virtual void wait() = 0;
};

}  // namespace weft
