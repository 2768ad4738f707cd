// Differentiable collectives over the tensor axis; with a group of one they return their argument.
//
// Source: Shoeybi et al., "Megatron-LM: training multi-billion parameter language models using
// model parallelism", 2019: these are its f and g.
#pragma once

#include "core/autograd/var.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// Before a layer that is cut by its outputs. forward: identity    backward: all-reduce
Var copy_to_tensor_ranks(const Var& x, Communicator& c);

// After a layer that is cut by its inputs. forward: all-reduce    backward: identity
// The sum takes the memory of x, so x must be a fresh result that nothing else uses.
Var reduce_from_tensor_ranks(const Var& x, Communicator& c);

}  // namespace weft
