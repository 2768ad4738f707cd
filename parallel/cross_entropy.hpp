// Cross entropy over logits whose vocabulary is cut over the tensor axis.
#pragma once

#include "core/ops/cross_entropy.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// logits [N, rows] of the vocabulary's columns [first_column, first_column + rows); the same loss
// on every rank.
CrossEntropy vocab_cross_entropy(const Var& logits, const Tensor& targets,
                                 std::int64_t first_column, Communicator& tensor);

}  // namespace weft
