// One communicator of NCCL, non-blocking, and the operations under way on it.
#include "parallel/nccl_group.hpp"

#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "parallel/agree.hpp"

namespace weft {

namespace {

// More operations than this are under way only when the watching thread is late.
constexpr std::size_t kManyPending = 256;
// How long stopping NCCL waits for a call of NCCL on another thread.
constexpr std::chrono::seconds kPatienceWithCaller{1};

constexpr const char* kHint =
    "a rank that ended, hangs or left the common order of operations keeps the others waiting: see "
    "its log; NCCL_DEBUG=INFO shows what NCCL does";

// Non-blocking: no call waits for other ranks inside of NCCL, where nobody could stop it.
ncclConfig_t non_blocking() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

std::string words_of(ncclResult_t code, ncclComm_t comm) {
  std::string words = ncclGetErrorString(code);
  const char* last = ncclGetLastError(comm);
  if (last != nullptr && *last != '\0') words += fmt::format(" ({})", last);
  return words;
}

}  // namespace

NcclGroup::NcclGroup(std::shared_ptr<NcclWatch> watch, std::unique_ptr<Communicator> host)
    : watch_(std::move(watch)),
      host_(std::move(host)),
      rank_(host_->rank()),
      size_(host_->size()),
      last_end_(Clock::now()) {}

std::shared_ptr<NcclGroup> NcclGroup::make(std::shared_ptr<NcclWatch> watch,
                                           std::unique_ptr<Communicator> host) {
  const std::shared_ptr<NcclGroup> group(new NcclGroup(std::move(watch), std::move(host)));
  Communicator& ranks = *group->host_;
  ncclUniqueId id{};
  agree(ranks, [&] {
    if (ranks.rank() != 0) return;
    const ncclResult_t code = ncclGetUniqueId(&id);
    if (code != ncclSuccess) throw Error("NCCL does not start: " + words_of(code, nullptr));
  });
  const std::string sent = ranks.broadcast(std::string(id.internal, sizeof id.internal), 0);
  std::memcpy(id.internal, sent.data(), sizeof id.internal);
  group->runtime();  // NCCL takes the thread's current device
  ncclConfig_t config = non_blocking();
  const ncclResult_t code =
      ncclCommInitRankConfig(&group->comm_, group->size_, id, group->rank_, &config);
  if (code != ncclInProgress) group->check(code, "connecting the ranks");
  group->join();
  return group;
}

std::shared_ptr<NcclGroup> NcclGroup::split(int color, int key,
                                            std::unique_ptr<Communicator> host) {
  wait_for_pending();  // NCCL asks for it
  runtime();
  ncclConfig_t config = non_blocking();
  std::shared_ptr<NcclGroup> part;
  if (host) part.reset(new NcclGroup(watch_, std::move(host)));
  ncclResult_t code = ncclSuccess;
  {
    const std::lock_guard lock(mutex_);
    watch_->rethrow_failure();
    code = ncclCommSplit(comm_, part ? color : NCCL_SPLIT_NOCOLOR, key,
                         part ? &part->comm_ : &none_, &config);
    code = settle(comm_, code);
  }
  check(code, fmt::format("splitting {} ranks", size_));
  if (part) part->join();
  return part;
}

void NcclGroup::join() {
  check(settle(comm_, ncclInProgress), fmt::format("connecting {} ranks", size_));
  watch_->add(*this);
}

// While an exception unwinds, the other ranks may be anywhere.
NcclGroup::~NcclGroup() {
  watch_->remove(*this);
  if (comm_ == nullptr) return;
  const bool together = !watch_->failed() && std::uncaught_exceptions() == 0;
  if (together && settle(comm_, ncclCommFinalize(comm_)) == ncclSuccess) {
    ncclCommDestroy(comm_);
  } else {
    ncclCommAbort(comm_);
  }
}

ncclResult_t NcclGroup::settle(ncclComm_t comm, ncclResult_t code) const {
  const Clock::time_point begin = Clock::now();
  for (int turn = 0; code == ncclInProgress; ++turn) {
    if (ncclCommGetAsyncError(comm, &code) != ncclSuccess) return ncclInternalError;
    if (code != ncclInProgress) return code;
    if (watch_->failed() || watch_->too_long(Clock::now() - begin)) return code;
    if (turn < 1000) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
  return code;
}

void NcclGroup::check(ncclResult_t code, const std::string& what) {
  if (code == ncclSuccess) return;
  if (!watch_->failed()) {
    const Error error = code == ncclInProgress
                            ? timed_out(what)
                            : Error(fmt::format("{} failed on rank {} of {}: NCCL: {}", what, rank_,
                                                size_, words_of(code, comm_)),
                                    kHint);
    watch_->fail(error);
  }
  watch_->rethrow_failure();
}

void NcclGroup::issue(const NcclOperation& operation, cudaStream_t stream,
                      const std::function<ncclResult_t(ncclComm_t)>& call) {
  ncclResult_t code = ncclSuccess;
  {
    const std::lock_guard lock(mutex_);
    watch_->rethrow_failure();
    ++issued_;
    code = settle(comm_, call(comm_));
    if (code == ncclSuccess) follow(operation, stream);
  }
  check(code, text(operation, issued_));
}

void NcclGroup::follow(const NcclOperation& operation, cudaStream_t stream) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  check_cuda(cudaStreamIsCapturing(stream, &capture), "asking for a capture");
  if (capture != cudaStreamCaptureStatusNone) return;  // it does not run now
  const std::lock_guard lock(pending_mutex_);
  if (pending_.size() >= kManyPending) drop_ended();
  std::unique_ptr<CudaEvent> done;
  if (spare_events_.empty()) {
    done = std::make_unique<CudaEvent>();
  } else {
    done = std::move(spare_events_.back());
    spare_events_.pop_back();
  }
  done->record(stream);
  pending_.push_back({operation, issued_, std::move(done), Clock::now()});
}

void NcclGroup::watch_replay(cudaStream_t stream) {
  const std::lock_guard lock(mutex_);
  watch_->rethrow_failure();
  follow(NcclOperation("a captured step"), stream);
}

void NcclGroup::drop_ended() {
  while (!pending_.empty() && pending_.front().done->done()) {
    spare_events_.push_back(std::move(pending_.front().done));
    pending_.pop_front();
    last_end_ = Clock::now();
  }
}

void NcclGroup::wait_for_pending() {
  const CudaEvent* last = nullptr;
  {
    const std::lock_guard lock(pending_mutex_);
    if (!pending_.empty()) last = pending_.back().done.get();
  }
  if (last != nullptr) last->wait();
}

std::optional<Error> NcclGroup::look() {
  std::string late, under_way;
  {
    const std::lock_guard lock(pending_mutex_);
    drop_ended();
    if (!pending_.empty()) {
      const Pending& first = pending_.front();
      under_way = text(first.operation, first.number);
      if (watch_->too_long(Clock::now() - std::max(first.since, last_end_))) late = under_way;
    }
  }
  if (!late.empty()) return timed_out(late);
  // Whoever holds the lock looks for errors himself.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  ncclResult_t code = ncclSuccess;
  if (!lock || comm_ == nullptr) return std::nullopt;
  if (ncclCommGetAsyncError(comm_, &code) != ncclSuccess) code = ncclInternalError;
  if (code == ncclSuccess || code == ncclInProgress) return std::nullopt;
  return Error(fmt::format("{} failed on rank {} of {}: NCCL: {}",
                           under_way.empty() ? "the connection" : under_way, rank_, size_,
                           words_of(code, comm_)),
               kHint);
}

// A caller may hang in NCCL because the device takes no more work: stopping what is under way is
// what frees him, so that he is not waited for without end.
void NcclGroup::abort() {
  const std::unique_lock lock(mutex_, kPatienceWithCaller);
  if (comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
}

std::string NcclGroup::text(const NcclOperation& operation, std::int64_t number) const {
  if (!operation.operand) return std::string(operation.name);
  return fmt::format("{} of {} {} (operation {} of its group)", operation.name,
                     name_of(operation.operand->dtype), operation.operand->shape.str(), number);
}

// Ranks that wait, too, tell what for; one that does not answer has not begun, or not so long ago.
Error NcclGroup::timed_out(const std::string& what) {
  std::vector<std::string> words(static_cast<std::size_t>(size_), what);
  if (!called_.exchange(true)) words = host_->roll_call(what, watch_->listening_time());
  std::string silent, elsewhere;
  for (int r = 0; r < size_; ++r) {
    const std::string& word = words[static_cast<std::size_t>(r)];
    if (word.empty()) silent += fmt::format("{}{}", silent.empty() ? "" : ", ", r);
    if (!word.empty() && word != what) elsewhere += fmt::format("; rank {} waits for {}", r, word);
  }
  if (!silent.empty()) silent = "; nothing was heard of rank " + silent;
  return Error(fmt::format("{} on rank {} of {} has not ended within {}{}{}", what, rank_, size_,
                           watch_->timeout_text(), silent, elsewhere),
               kHint);
}

void NcclGroup::prepare_watching_thread(Device device) {
  CudaRuntime::of(device.index);
  // Asking for events must not disturb a capture of the thread that computes.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  check_cuda(cudaThreadExchangeStreamCaptureMode(&mode), "choosing a capture mode");
}

}  // namespace weft
