// The norm of a gradient that is spread over the mesh.
#include "parallel/grad_norm.hpp"

#include <cassert>
#include <cmath>

#include "core/backend/transfer.hpp"

namespace weft {

double global_grad_norm(const GradientBuckets& buckets,
                        const std::vector<NamedParameter>& parameters, Mesh& mesh) {
  const Tensor squares = to_host(buckets.squared_norms());
  if (!squares) return 0;
  const std::span values(squares.data<double>(), parameters.size());
  return global_grad_norm(values, parameters, mesh);
}

double global_grad_norm(std::span<const double> squares,
                        const std::vector<NamedParameter>& parameters, Mesh& mesh) {
  assert(squares.size() == parameters.size());
  if (squares.empty()) return 0;
  double sharded = 0;
  double replicated = 0;
  for (std::size_t i = 0; i < squares.size(); ++i) {
    const bool cut = parameters[i].parameter->shard.dim >= 0;
    (cut ? sharded : replicated) += squares[i];
  }
  // A replicated gradient is the same on all tensor ranks, unless a fault made it bad on one of
  // them: then all must know, or some would take a step that others skip.
  if (!std::isfinite(replicated)) sharded = replicated;
  return std::sqrt(mesh.tensor().all_reduce(sharded, ReduceOp::sum) + replicated);
}

}  // namespace weft
