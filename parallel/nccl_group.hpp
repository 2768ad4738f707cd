// One communicator of NCCL, non-blocking, and the operations under way on it.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include <nccl.h>

#include "core/backend/cuda/runtime.hpp"
#include "parallel/nccl_abort.hpp"
#include "parallel/nccl_watch.hpp"

namespace weft {

// An operation as errors tell of it.
struct NcclOperation {
  std::string_view name;
  struct Operand {
    DType dtype;
    Shape shape;
  };
  std::optional<Operand> operand;  // none: all operations of a captured graph
  std::size_t more = 0;            // in the same group of calls

  explicit NcclOperation(std::string_view operation) : name(operation) {}
  NcclOperation(std::string_view operation, const Tensor& x)
      : name(operation), operand(Operand{x.dtype(), x.shape()}) {}
};

class NcclGroup {
 public:
  // Collective over `host`, which is this group's own from here on. Throws Error when NCCL cannot
  // connect the ranks, or does not within the time.
  static std::shared_ptr<NcclGroup> make(std::shared_ptr<NcclWatch> watch,
                                         std::unique_ptr<Communicator> host);
  // Collective over this group; `host` is the part's, with this rank in it. A rank alone needs no
  // NCCL: it takes part with `host` null and gets null.
  std::shared_ptr<NcclGroup> split(int color, int key, std::unique_ptr<Communicator> host);
  // Ends what NCCL has, together with the other ranks, which waits for the graphs that captured
  // operations to be destroyed; after a failure, alone, and without waiting.
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  NcclWatch& watch() const { return *watch_; }
  CudaRuntime& runtime() const { return CudaRuntime::of(watch_->device().index); }

  // Puts an operation on the stream: call(comm) makes one call of NCCL, or a group of them. A first
  // one of its kind waits for the other ranks, with which it connects, as long as the time-out.
  void issue(const NcclOperation& operation, cudaStream_t stream,
             const std::function<ncclResult_t(ncclComm_t)>& call);

  // A captured graph with operations of this group or its parts was launched on the stream.
  void watch_replay(cudaStream_t stream);

  // For the watching thread: the failure of an operation under way, if there is one.
  std::optional<Error> look();
  // What has to be aborted after a failure.
  const std::shared_ptr<NcclHandle>& handle() const { return handle_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Pending {
    NcclOperation operation;
    std::int64_t number;
    std::unique_ptr<CudaEvent> done;
    Clock::time_point since;
  };

  NcclGroup(std::shared_ptr<NcclWatch> watch, std::unique_ptr<Communicator> host);
  void join();  // waits until the ranks are connected
  // How a call of NCCL has ended.
  struct Outcome {
    ncclResult_t code;
    std::string words;  // of NCCL, when it failed
  };
  // Waits until NCCL has done its part of a call on `comm`, which returned `code`. Gives up, with
  // ncclInProgress, after the time-out and when another group has failed. With the handle locked.
  Outcome settle(ncclComm_t comm, ncclResult_t code) const;
  // Throws unless it is success; `what` is what NCCL was asked for.
  void check(const Outcome& outcome, const std::string& what);
  void follow(const NcclOperation& operation, cudaStream_t stream);
  void drop_ended();  // with pending_mutex_ held
  void wait_for_pending();
  std::string text(const NcclOperation& operation, std::int64_t number) const;
  // What a rank that waits too long for `what` says, after a roll call.
  Error timed_out(const std::string& what);

  std::shared_ptr<NcclWatch> watch_;
  std::unique_ptr<Communicator> host_;  // for roll calls
  std::atomic<bool> called_ = false;    // a roll call was made
  const int rank_, size_;

  const std::shared_ptr<NcclHandle> handle_ = std::make_shared<NcclHandle>();
  std::int64_t issued_ = 0;

  std::mutex pending_mutex_;
  std::deque<Pending> pending_;  // guarded by pending_mutex_, as all below
  std::vector<std::unique_ptr<CudaEvent>> spare_events_;
  Clock::time_point last_end_;  // when an operation was seen to have ended
};

}  // namespace weft
