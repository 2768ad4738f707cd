// The communicator of ranks that have a GPU each: tensors there go through NCCL. No header of CUDA
// or NCCL is needed here, nor a build with them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/base/error.hpp"
#include "parallel/communicator.hpp"

namespace weft {

struct NcclOptions {
  // An operation that has not ended so long after it was issued (and the one before it has ended)
  // is given up: NCCL is stopped on this rank, and every further call of this communicator and of
  // those split from it throws Error, which names the operation and the ranks nothing was heard
  // of. 0: never.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  // NCCL wants a GPU for each rank. When ranks share one, rank 0 calls this once with a warning,
  // before nccl_communicator() returns, and CUDA tensors go through host memory instead. Empty:
  // that is an Error.
  std::function<void(const std::string&)> on_shared_gpu = {};
  // Called on a thread of its own when half a minute after a failure no call has thrown it yet: the
  // caller waits for something else, perhaps for ever. May end the process.
  std::function<void(const Error&)> on_unnoticed_failure = {};
  // A rank alone needs no NCCL and gets `host` back; with this it uses NCCL all the same, so that
  // one GPU is enough to test it.
  bool even_alone = false;
};

// `host` goes on to carry host tensors, small values and what the ranks must agree on; tensors of
// `device`, this rank's GPU, go through NCCL. Collective. Throws Error in a build without NCCL, and
// when NCCL does not start.
std::unique_ptr<Communicator> nccl_communicator(std::unique_ptr<Communicator> host, Device device,
                                                const NcclOptions& options = {});

// The version of the library, "2.28.9"; "" in a build without it.
std::string nccl_version();

}  // namespace weft
