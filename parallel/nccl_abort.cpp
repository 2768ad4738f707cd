// Stops communicators of NCCL that may hang.
#include "parallel/nccl_abort.hpp"

#include <thread>
#include <utility>

#include <cuda_runtime.h>

namespace weft {

namespace {

// How long an abort waits for a call of NCCL on another thread. A caller may hang in NCCL because
// the device takes no more work: the abort is what frees him then.
constexpr std::chrono::seconds kPatienceWithCaller{1};

void abort(NcclHandle& handle) {
  ncclComm_t comm = nullptr;
  {
    const std::unique_lock lock(handle.mutex, kPatienceWithCaller);
    comm = std::exchange(handle.comm, nullptr);
  }
  if (comm == nullptr) return;
  ncclCommAbort(comm);
  // A split that was under way has ended by now.
  if (handle.part) abort(*handle.part);
}

}  // namespace

void NcclAborts::begin(const std::shared_ptr<NcclHandle>& handle) {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->under_way;
  }
  std::thread([state = state_, handle, device = device_.index] {
    cudaSetDevice(device);  // if it fails, NCCL tries by itself
    abort(*handle);
    const std::lock_guard lock(state->mutex);
    --state->under_way;
    state->changed.notify_all();
  }).detach();
}

void NcclAborts::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(lock, time, [&] { return state_->under_way == 0; });
}

}  // namespace weft
