// The mesh of ranks.
#include "parallel/mesh.hpp"

#include "core/base/error.hpp"
#include "core/base/plural.hpp"

namespace weft {

namespace {
int checked(int tensor_size, int ranks) {
  if (tensor_size < 1 || ranks % tensor_size != 0) {
    throw InputError("parallel.tensor: " + std::to_string(tensor_size) + " does not divide " +
                         counted(ranks, "rank"),
                     "use a divisor of " + std::to_string(ranks));
  }
  return tensor_size;
}
}  // namespace

Mesh::Mesh(std::unique_ptr<Communicator> world, int tensor_size, Device device)
    : world_(std::move(world)), device_(device) {
  const int t = checked(tensor_size, world_->size());
  const int rank = world_->rank();
  data_ = world_->split(rank % t, rank);
  tensor_ = world_->split(rank / t, rank);
}

Mesh Mesh::single(Device device) { return Mesh(self_communicator(), 1, device); }

}  // namespace weft
