// What an Optimizer asks of ranks that share its work.
#pragma once

#include <cstddef>
#include <vector>

#include "core/base/part.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// Ranks that have the same parameters and gradients, the parameters' tensors in memory that all of
// them see: each updates a part of the elements, and all use the result. All ranks make the same
// calls in the same order.
class UpdateSharing {
 public:
  virtual ~UpdateSharing() = default;
  // One f32 tensor for each parameter, of its shape, in memory that all ranks see.
  virtual std::vector<Tensor> common_tensors() = 0;
  // The elements of a parameter, and of what belongs to it, that this rank writes; perhaps none.
  virtual Part part(std::size_t parameter) const = 0;
  // Waits until all ranks have come so far; what they have written is seen afterwards. Throws Error
  // when one of them is gone.
  virtual void meet() = 0;
  // Adds up what the ranks have, in place and in their order: the same bits on all.
  virtual void sum(Tensor& x) = 0;
};

}  // namespace weft
