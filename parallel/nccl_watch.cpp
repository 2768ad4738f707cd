// The thread that watches over the operations of all NCCL groups of one nccl_communicator().
#include "parallel/nccl_watch.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "parallel/nccl_group.hpp"

namespace weft {

namespace {

using std::chrono::milliseconds;

// How long a failure may stay unnoticed.
constexpr milliseconds kPatience{30000};
// Ranks begin an operation, and so give it up, at about the same time.
constexpr milliseconds kListening{5000};
constexpr milliseconds kLongestInterval{100};
// For aborts, which wait for nothing once all groups are aborted and all graphs are destroyed.
constexpr milliseconds kPatienceWithAborts{10000};

milliseconds at_most_timeout(milliseconds time, const NcclOptions& options) {
  return options.timeout.count() > 0 ? std::min(time, options.timeout) : time;
}

}  // namespace

NcclWatch::NcclWatch(Device device, const NcclOptions& options)
    : device_(device), options_(options), aborts_(device), thread_([this] { run(); }) {}

NcclWatch::~NcclWatch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
  aborts_.wait(kPatienceWithAborts);
}

bool NcclWatch::too_long(std::chrono::steady_clock::duration time) const {
  return options_.timeout.count() > 0 && time > options_.timeout;
}

std::string NcclWatch::timeout_text() const {
  return fmt::format("{:g} s", std::chrono::duration<double>(options_.timeout).count());
}

milliseconds NcclWatch::listening_time() const { return at_most_timeout(kListening, options_); }

void NcclWatch::rethrow_failure() {
  if (!failed_) return;
  const std::lock_guard lock(mutex_);
  noticed_ = true;
  changed_.notify_all();
  throw Error(*failure_);
}

void NcclWatch::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (failure_) return;
  failure_ = std::make_unique<const Error>(error);
  failed_ = true;
  changed_.notify_all();
}

void NcclWatch::add(NcclGroup& group) {
  const std::lock_guard lock(groups_mutex_);
  groups_.push_back(&group);
}

void NcclWatch::remove(NcclGroup& group) {
  const std::lock_guard lock(groups_mutex_);
  std::erase(groups_, &group);
}

void NcclWatch::run() {
  try {
    watch();
  } catch (const Error& e) {
    fail(e);  // of CUDA itself
  }
  if (failed_) abort_all();
  std::unique_lock lock(mutex_);
  const bool noticed = changed_.wait_for(lock, at_most_timeout(kPatience, options_),
                                         [&] { return stop_ || noticed_; });
  if (noticed || !options_.on_unnoticed_failure) return;
  const Error failure = *failure_;
  lock.unlock();
  options_.on_unnoticed_failure(failure);
}

// Until there is a failure, or nothing more to watch.
void NcclWatch::watch() {
  const milliseconds interval = std::clamp(at_most_timeout(kLongestInterval * 50, options_) / 50,
                                           milliseconds(1), kLongestInterval);
  CudaRuntime::of(device_.index);  // the current device
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, interval, [&] { return stop_ || failure_; })) {
    lock.unlock();
    if (const std::optional<Error> failure = look_at_all()) fail(*failure);
    lock.lock();
  }
}

std::optional<Error> NcclWatch::look_at_all() {
  const std::lock_guard lock(groups_mutex_);
  for (NcclGroup* group : groups_) {
    if (std::optional<Error> failure = group->look()) return failure;
  }
  return std::nullopt;
}

void NcclWatch::abort_all() {
  const std::lock_guard lock(groups_mutex_);
  for (const NcclGroup* group : groups_) aborts_.begin(group->handle());
}

}  // namespace weft
