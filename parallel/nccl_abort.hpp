// Stops communicators of NCCL that may hang.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include <nccl.h>

#include "core/tensor/device.hpp"

namespace weft {

// NCCL's communicator, apart from the group that uses it: the thread that aborts it may outlive
// that.
struct NcclHandle {
  std::timed_mutex mutex;  // held while NCCL is called
  ncclComm_t comm = nullptr;
  // Of a split that NCCL has not ended: where it writes the part.
  std::shared_ptr<NcclHandle> part;
};

// ncclCommAbort() first raises a flag that ends the communicator's kernels, and then waits: when it
// frees memory, for all work of the GPU, the kernels of other communicators among it, which a hung
// one never lets end; and for the death of every graph that captured its operations. So each
// communicator is aborted by a thread of its own, which nobody waits for: all flags are up,
// whichever abort waits, and the threads that own graphs go on. An abort of all in one group of
// calls (ncclGroupStart()) would need NCCL 2.22, and wait for the graphs as well.
class NcclAborts {
 public:
  explicit NcclAborts(Device device) : device_(device) {}

  // Once for each handle; later calls do nothing.
  void begin(const std::shared_ptr<NcclHandle>& handle);
  // Until all that were begun have ended, but no longer than this.
  void wait(std::chrono::milliseconds time);

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int under_way = 0;
  };

  const Device device_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();  // the threads' too
};

}  // namespace weft
