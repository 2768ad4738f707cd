// All-reduce of a group whose ranks share memory with some others: with those of their host.
#pragma once

#include <memory>

#include "parallel/communicator.hpp"
#include "parallel/shared_memory.hpp"
#include "parallel/staged_reduction.hpp"

namespace weft {

// On each host the ranks add through shared memory. When there are several hosts, each of a host's
// owners has its part of the sums, and adds it with the owners of the same parts on other hosts:
// what goes over the network is that of one rank per host, and all owners send at once. The host
// with the fewest ranks tells how many owners each has.
class HostReduction {
 public:
  // Collective over `group`. `host` is a number for the ranks that can share memory with this one.
  // Null on all ranks when none of them can. All throw AgreedError when memory cannot be had.
  static std::unique_ptr<HostReduction> connect(Communicator& group, int host,
                                                std::size_t chunk_bytes);

  // As Communicator::all_reduce() of a host tensor of a dtype that can be reduced.
  void all_reduce(Tensor& x, ReduceOp op) { staged_.all_reduce(x, op); }

 private:
  HostReduction(SharedMemory memory, std::unique_ptr<Communicator> owners,
                StagedReductionOptions options);

  SharedMemory memory_;
  std::unique_ptr<Communicator> owners_;  // of the same parts, one on each host; none with one host
  StagedReduction staged_;
};

// The memory of the first rank of `host`, mapped on all of them. Collective; either all ranks get
// it or all throw AgreedError.
SharedMemory share_memory(Communicator& host, std::size_t bytes);

}  // namespace weft
