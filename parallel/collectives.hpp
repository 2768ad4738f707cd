// Differentiable collectives over the tensor axis; with a group of one they return their argument.
#pragma once

#include "core/autograd/var.hpp"
#include "parallel/communicator.hpp"

namespace weft {

Var copy_to_tensor_ranks(const Var& x,
                         Communicator& c);  // forward: identity    backward: all-reduce
Var reduce_from_tensor_ranks(const Var& x,
                             Communicator& c);  // forward: all-reduce  backward: identity

}  // namespace weft
