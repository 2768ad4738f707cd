// The thread that watches over the operations of all NCCL groups of one nccl_communicator().
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "parallel/nccl_abort.hpp"
#include "parallel/nccl_communicator.hpp"
#include "parallel/nccl_order.hpp"

namespace weft {

class NcclGroup;

// What waits for ranks that do not come cannot end by itself: this thread stops NCCL then, on all
// groups, so that the device and whoever waits for it go on, to find the error at their next call.
// A thread that computes only tells its failure: it may own what an abort waits for.
class NcclWatch {
 public:
  NcclWatch(Device device, const NcclOptions& options);
  ~NcclWatch();
  NcclWatch(const NcclWatch&) = delete;
  NcclWatch& operator=(const NcclWatch&) = delete;

  Device device() const { return device_; }
  bool too_long(std::chrono::steady_clock::duration time) const;
  std::string timeout_text() const;  // "600 s"
  // For how long ranks are listened to before one is called missing.
  std::chrono::milliseconds listening_time() const;

  // The first failure of any group; every call begins with this.
  void rethrow_failure();
  bool failed() const { return failed_; }
  // Keeps the failure unless there is one already, and lets NCCL be stopped on all groups.
  void fail(const Error& error);
  // Of a group that is no more. Does not wait.
  void abort(const std::shared_ptr<NcclHandle>& handle) { aborts_.begin(handle); }

  NcclOrder& order() { return order_; }

  // Groups that are alive. remove() waits while one is being looked at.
  void add(NcclGroup& group);
  void remove(NcclGroup& group);

 private:
  void run();
  void watch();
  std::optional<Error> look_at_all();
  void abort_all();

  const Device device_;
  const NcclOptions options_;
  NcclAborts aborts_;
  NcclOrder order_;
  std::mutex groups_mutex_;
  std::vector<NcclGroup*> groups_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;  // guarded by mutex_, as all below
  std::unique_ptr<const Error> failure_;
  bool noticed_ = false;              // a call has thrown the failure
  std::atomic<bool> failed_ = false;  // failure_ is set
  std::thread thread_;
};

}  // namespace weft
