// One communicator of NCCL, non-blocking, and the operations under way on it.
#include "parallel/nccl_group.hpp"

#include <cstring>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "parallel/agree.hpp"

namespace weft {

namespace {

// More operations than this are under way only when the watching thread is late.
constexpr std::size_t kManyPending = 256;

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
      ncclCommInitRankConfig(&group->handle_->comm, group->size_, id, group->rank_, &config);
  if (code != ncclSuccess && code != ncclInProgress) {
    throw Error("NCCL does not start: " + words_of(code, nullptr));
  }
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
  Outcome outcome{};
  {
    const std::lock_guard lock(handle_->mutex);
    watch_->rethrow_failure();
    const ncclComm_t comm = handle_->comm;
    handle_->part = part ? part->handle_ : std::make_shared<NcclHandle>();
    outcome = settle(comm, ncclCommSplit(comm, part ? color : NCCL_SPLIT_NOCOLOR, key,
                                         &handle_->part->comm, &config));
    if (outcome.code == ncclSuccess) handle_->part.reset();
  }
  check(outcome, fmt::format("splitting {} ranks", size_));
  if (part) part->join();
  return part;
}

void NcclGroup::join() {
  Outcome outcome{};
  {
    const std::lock_guard lock(handle_->mutex);
    outcome = settle(handle_->comm, ncclInProgress);
  }
  check(outcome, fmt::format("connecting {} ranks", size_));
  watch_->add(*this);
}

// While an exception unwinds, the other ranks may be anywhere.
NcclGroup::~NcclGroup() {
  watch_->remove(*this);
  if (!watch_->failed() && std::uncaught_exceptions() == 0) {
    const std::lock_guard lock(handle_->mutex);
    const ncclComm_t comm = handle_->comm;
    if (comm == nullptr) return;
    if (settle(comm, ncclCommFinalize(comm)).code == ncclSuccess) {
      handle_->comm = nullptr;
      ncclCommDestroy(comm);
      return;
    }
  }
  watch_->abort(handle_);
}

// After a failure elsewhere `comm` may be aborted already: it is not touched then.
NcclGroup::Outcome NcclGroup::settle(ncclComm_t comm, ncclResult_t code) const {
  const Clock::time_point begin = Clock::now();
  for (int turn = 0; code == ncclInProgress; ++turn) {
    if (watch_->failed() || watch_->too_long(Clock::now() - begin)) return {code, ""};
    if (ncclCommGetAsyncError(comm, &code) != ncclSuccess) code = ncclInternalError;
    if (code != ncclInProgress) break;
    if (turn < 1000) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
  if (code == ncclSuccess || watch_->failed()) return {code, ""};
  return {code, words_of(code, comm)};
}

void NcclGroup::check(const Outcome& outcome, const std::string& what) {
  if (outcome.code == ncclSuccess) return;
  if (!watch_->failed()) {
    watch_->fail(outcome.code == ncclInProgress
                     ? timed_out(what)
                     : Error(fmt::format("{} failed on rank {} of {}: NCCL: {}", what, rank_, size_,
                                         outcome.words),
                             kHint));
  }
  watch_->rethrow_failure();
}

void NcclGroup::issue(const NcclOperation& operation, cudaStream_t stream,
                      const std::function<ncclResult_t(ncclComm_t)>& call) {
  Outcome outcome{};
  {
    const std::lock_guard lock(handle_->mutex);
    watch_->rethrow_failure();
    ++issued_;
    watch_->order().before(stream);
    const ncclComm_t comm = handle_->comm;
    outcome = settle(comm, call(comm));
    if (outcome.code == ncclSuccess) {
      watch_->order().after(stream);
      follow(operation, stream);
    }
  }
  check(outcome, text(operation, issued_));
}

void NcclGroup::follow(const NcclOperation& operation, cudaStream_t stream) {
  if (capture_of(stream) != 0) return;  // it does not run now
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
  const std::lock_guard lock(handle_->mutex);
  watch_->rethrow_failure();
  watch_->order().after(stream);
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
  std::vector<const CudaEvent*> ends;  // of several streams
  {
    const std::lock_guard lock(pending_mutex_);
    for (const Pending& p : pending_) ends.push_back(p.done.get());
  }
  for (const CudaEvent* end : ends) end->wait();
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
  const std::unique_lock lock(handle_->mutex, std::try_to_lock);
  const ncclComm_t comm = lock ? handle_->comm : nullptr;
  ncclResult_t code = ncclSuccess;
  if (comm == nullptr) return std::nullopt;
  if (ncclCommGetAsyncError(comm, &code) != ncclSuccess) code = ncclInternalError;
  if (code == ncclSuccess || code == ncclInProgress) return std::nullopt;
  return Error(fmt::format("{} failed on rank {} of {}: NCCL: {}",
                           under_way.empty() ? "the connection" : under_way, rank_, size_,
                           words_of(code, comm)),
               kHint);
}

std::string NcclGroup::text(const NcclOperation& operation, std::int64_t number) const {
  if (!operation.operand) return std::string(operation.name);
  const std::string more =
      operation.more > 0 ? fmt::format(" and {} more at once", operation.more) : "";
  return fmt::format("{} of {} {}{} (operation {} of its group)", operation.name,
                     name_of(operation.operand->dtype), operation.operand->shape.str(), more,
                     number);
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

}  // namespace weft
