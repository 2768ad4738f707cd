// The norm of a gradient that is spread over the mesh.
#pragma once

#include <span>
#include <vector>

#include "core/nn/module.hpp"
#include "parallel/data_parallel.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// L2 norm over all parameters of the model, each counted once: the parts of a sharded one are
// summed over the tensor axis. After GradientBuckets::finish(); the same bits on every rank.
// Accumulated in fp64; NaN and Inf come through. Collective over mesh.tensor().
double global_grad_norm(const GradientBuckets& buckets,
                        const std::vector<NamedParameter>& parameters, Mesh& mesh);
// The same from the sum of squares of each parameter's gradient, for who reads those from the
// device together with other values.
double global_grad_norm(std::span<const double> squares,
                        const std::vector<NamedParameter>& parameters, Mesh& mesh);

}  // namespace weft
