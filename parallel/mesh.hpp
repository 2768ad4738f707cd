// The mesh of ranks: named axes data x tensor, and the device of this rank.
#pragma once

#include <memory>

#include "parallel/communicator.hpp"

namespace weft {

// rank = data_rank * tensor_size + tensor_rank: tensor groups are neighbours.
class Mesh {
 public:
  // Collective over `world`. Throws InputError when tensor_size does not divide the number of
  // ranks.
  Mesh(std::unique_ptr<Communicator> world, int tensor_size, Device device = {});
  // One rank alone.
  static Mesh single(Device device = {});

  Communicator& world() const { return *world_; }
  Communicator& data() const { return *data_; }
  Communicator& tensor() const { return *tensor_; }
  // Where this rank's parameters, activations and gradients are.
  Device device() const { return device_; }

 private:
  std::unique_ptr<Communicator> world_, data_, tensor_;
  Device device_;
};

}  // namespace weft
