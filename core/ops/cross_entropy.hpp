// Softmax cross entropy without a saved probability tensor.
#pragma once

#include "core/autograd/var.hpp"

namespace weft {

struct CrossEntropy {
  Var loss;        // f32 [1]: the SUM over targets that are not negative
  Tensor correct;  // f32 [1]: how many of them have the highest logit
};

// logits [N, V], targets i32 [N]; a negative target is ignored. The gradient overwrites the logits'
// memory.
CrossEntropy cross_entropy(const Var& logits, const Tensor& targets);

}  // namespace weft
