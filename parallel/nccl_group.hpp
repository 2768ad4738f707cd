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
  // Ends what NCCL has, together with the other ranks; after a failure, alone.
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  NcclWatch& watch() const { return *watch_; }
  CudaRuntime& runtime() const { return CudaRuntime::of(watch_->device().index); }

  // Puts an operation on the stream: call(comm) makes one call of NCCL, or a group of them. A first
  // call of its kind waits for the other ranks, with which it connects, as long as the time-out.
  void issue(const NcclOperation& operation, cudaStream_t stream,
             const std::function<ncclResult_t(ncclComm_t)>& call);

  // A captured graph with operations of this group or its parts was launched on the stream.
  void watch_replay(cudaStream_t stream);

  // For the watching thread, before and while it looks: the failure of an operation under way, if
  // there is one.
  static void prepare_watching_thread(Device device);
  std::optional<Error> look();
  // Stops what is under way on this rank. For the watch.
  void abort();

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
  // Waits until NCCL has done its part of a call on `comm`, which returned `code`. Gives up, with
  // ncclInProgress, after the time-out and when another group has failed.
  ncclResult_t settle(ncclComm_t comm, ncclResult_t code) const;
  // Throws unless `code` is success; `what` is what NCCL was asked for.
  void check(ncclResult_t code, const std::string& what);
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

  std::timed_mutex mutex_;  // held while NCCL is called
  ncclComm_t comm_ = nullptr;
  ncclComm_t none_ = nullptr;  // what a rank that is no part of a split gets
  std::int64_t issued_ = 0;

  std::mutex pending_mutex_;
  std::deque<Pending> pending_;  // guarded by pending_mutex_, as all below
  std::vector<std::unique_ptr<CudaEvent>> spare_events_;
  Clock::time_point last_end_;  // when an operation was seen to have ended
};

}  // namespace weft
