// Activation recompute: a block keeps its inputs only, and runs again in backward.
#pragma once

#include <functional>
#include <vector>

#include "core/autograd/var.hpp"
#include "core/ops/pass.hpp"

namespace weft {

// Runs fn(inputs, pass). With pass.recompute, saves only the inputs and repeats fn in backward with
// the same dropout keys. `params` are the leaves that fn uses: they are inputs of the node, so that
// each one's hook fires once even when several blocks share it (ALBERT).
Var recompute(const std::function<Var(const std::vector<Var>&, Pass&)>& fn,
              const std::vector<Var>& inputs, const std::vector<Var>& params, Pass& pass);

}  // namespace weft
