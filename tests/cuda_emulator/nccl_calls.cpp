// What the operations of the emulator's NCCL do: each rank sends what others need of it, and has
// its result when all it needs has come. Results are checked against nothing but what ranks say of
// their calls: one that does not fit the others' never ends, as with NCCL.
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "core/tensor/dtype.hpp"
#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/nccl.hpp"
#include "tests/cuda_emulator/nccl_faults.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"
#include "tests/cuda_emulator/streams.hpp"

namespace cuda_emulator {

namespace {

using Kind = NcclCall::Kind;

// What a rank says of its call, before its data.
struct Header {
  Kind kind;
  ncclDataType_t type;
  ncclRedOp_t op;
  std::uint64_t count;
  int root;
  bool operator==(const Header&) const = default;
};

std::string text(const Header& h) {
  return std::string(name_of(h.kind)) + " of " + std::to_string(h.count) + " elements of type " +
         std::to_string(h.type);
}

template <class T>
T combined(T a, T b, ncclRedOp_t op) {
  if (op == ncclSum) return T(a + b);
  return op == ncclMax ? std::max(a, b) : std::min(a, b);
}

// 16-bit floats: every sum of two is rounded, as NCCL does.
template <class Half>
Half combined_half(Half a, Half b, ncclRedOp_t op) {
  return Half(combined(static_cast<float>(a), static_cast<float>(b), op));
}
weft::bfloat16 combined(weft::bfloat16 a, weft::bfloat16 b, ncclRedOp_t op) {
  return combined_half(a, b, op);
}
weft::float16 combined(weft::float16 a, weft::float16 b, ncclRedOp_t op) {
  return combined_half(a, b, op);
}

template <class T>
void combine(char* sum, const char* more, std::size_t count, ncclRedOp_t op) {
  for (std::size_t i = 0; i < count; ++i) {
    T a, b;
    std::memcpy(&a, sum + i * sizeof(T), sizeof(T));
    std::memcpy(&b, more + i * sizeof(T), sizeof(T));
    a = combined(a, b, op);
    std::memcpy(sum + i * sizeof(T), &a, sizeof(T));
  }
}

void combine(char* sum, const char* more, const NcclCall& call) {
  switch (call.type) {
    case ncclFloat32:
      return combine<float>(sum, more, call.count, call.op);
    case ncclFloat64:
      return combine<double>(sum, more, call.count, call.op);
    case ncclInt32:
      return combine<std::int32_t>(sum, more, call.count, call.op);
    case ncclBfloat16:
      return combine<weft::bfloat16>(sum, more, call.count, call.op);
    case ncclFloat16:
      return combine<weft::float16>(sum, more, call.count, call.op);
    default:
      fail("NCCL: this type cannot be reduced here");
  }
}

// One call under way.
class Transfer {
 public:
  Transfer(NcclRanks& ranks, const NcclCall& call)
      : ranks_(ranks), call_(call), bytes_(call.count * size_of(call.type)) {}

  void start() {
    got_.assign(static_cast<std::size_t>(ranks_.size), {});
    for (int r = 0; r < ranks_.size; ++r) {
      const std::size_t first = call_.kind == Kind::reduce_scatter ? bytes_ * place(r) : 0;
      if (sends_to(r)) ranks_.send(r, message(static_cast<const char*>(call_.from) + first));
    }
  }

  // Takes messages of ranks that no earlier call still waits for, and adds those that it waits for.
  bool receive(std::set<int>& waited_for) {
    bool all = true;
    for (int r = 0; r < ranks_.size; ++r) {
      if (!receives_from(r) || !got_[place(r)].empty()) continue;
      if (!waited_for.contains(r) && ranks_.take(r, got_[place(r)])) {
        check(r);
      } else {
        waited_for.insert(r);
        all = false;
      }
    }
    return all && !wrong_;
  }

  void finish() {
    char* to = static_cast<char*>(call_.to);
    switch (call_.kind) {
      case Kind::all_reduce:
      case Kind::reduce_scatter: {
        const std::size_t own = call_.kind == Kind::all_reduce ? 0 : bytes_ * place(ranks_.rank);
        Bytes mine(static_cast<const char*>(call_.from) + own,
                   static_cast<const char*>(call_.from) + own + bytes_);
        Bytes sum;  // in the order of ranks: the same bits on each
        for (int r = 0; r < ranks_.size; ++r) {
          const char* part = r == ranks_.rank ? mine.data() : data_of(r);
          if (r == 0) {
            sum.assign(part, part + bytes_);
          } else {
            combine(sum.data(), part, call_);
          }
        }
        std::memcpy(to, sum.data(), bytes_);
        break;
      }
      case Kind::all_gather:
        for (int r = 0; r < ranks_.size; ++r) {
          const void* part = r == ranks_.rank ? call_.from : data_of(r);
          std::memmove(to + bytes_ * place(r), part, bytes_);
        }
        break;
      case Kind::broadcast:
        std::memmove(to, ranks_.rank == call_.peer ? call_.from : data_of(call_.peer), bytes_);
        break;
      case Kind::receive:
        std::memcpy(to, data_of(call_.peer), bytes_);
        break;
      case Kind::send:
        break;
    }
  }

 private:
  static std::size_t place(int rank) { return static_cast<std::size_t>(rank); }
  bool sends_to(int r) const {
    if (call_.kind == Kind::send) return r == call_.peer;
    if (r == ranks_.rank || call_.kind == Kind::receive) return false;
    return call_.kind != Kind::broadcast || ranks_.rank == call_.peer;
  }
  bool receives_from(int r) const {
    if (call_.kind == Kind::receive) return r == call_.peer;
    if (r == ranks_.rank || call_.kind == Kind::send) return false;
    return call_.kind != Kind::broadcast || r == call_.peer;
  }
  // A receive says what the send it wants says.
  Header header() const {
    const bool direct = call_.kind == Kind::send || call_.kind == Kind::receive;
    return {.kind = direct ? Kind::send : call_.kind,
            .type = call_.type,
            .op = call_.op,
            .count = call_.count,
            .root = direct ? 0 : call_.peer};
  }
  Bytes message(const char* data) const {
    const Header h = header();
    Bytes bytes(sizeof h + bytes_);
    std::memcpy(bytes.data(), &h, sizeof h);
    std::memcpy(bytes.data() + sizeof h, data, bytes_);
    return bytes;
  }
  const char* data_of(int r) const { return got_[place(r)].data() + sizeof(Header); }
  void check(int r) {
    Header theirs;
    std::memcpy(&theirs, got_[place(r)].data(), sizeof theirs);
    if (theirs == header()) return;
    wrong_ = true;
    explain("NCCL: rank " + std::to_string(ranks_.rank) + " calls " + text(header()) + ", rank " +
            std::to_string(r) + " " + text(theirs) + ": this never ends");
  }

  NcclRanks& ranks_;
  NcclCall call_;
  std::size_t bytes_;
  std::vector<Bytes> got_;  // by rank
  bool wrong_ = false;
};

// The work of one launch; more than once when a graph holds it.
class GroupedCalls {
 public:
  GroupedCalls(std::shared_ptr<NcclRanks> ranks, std::vector<NcclCall> calls, std::int64_t turn,
               bool hangs)
      : ranks_(std::move(ranks)), calls_(std::move(calls)), turn_(turn), hangs_(hangs) {
    if (turn_ == 0) ++ranks_->captured;
  }
  ~GroupedCalls() {
    if (turn_ == 0) --ranks_->captured;
  }
  GroupedCalls(const GroupedCalls&) = delete;
  GroupedCalls& operator=(const GroupedCalls&) = delete;

  // Whether everything has come, or nobody waits any more.
  bool ready() {
    if (ranks_->aborted) return true;
    if (hangs_ || (turn_ != 0 && ranks_->ended + 1 != turn_)) return false;
    const std::lock_guard lock(ranks_->mutex);
    if (transfers_.empty()) {
      for (const NcclCall& call : calls_) transfers_.emplace_back(*ranks_, call);
      for (Transfer& t : transfers_) t.start();
    }
    ranks_->pump();
    std::set<int> waited_for;
    bool all = true;
    for (Transfer& t : transfers_) all = t.receive(waited_for) && all;
    return all;
  }
  void finish() {
    if (!ranks_->aborted) {
      for (Transfer& t : transfers_) t.finish();
    }
    transfers_.clear();
    if (turn_ == 0) return;
    ++ranks_->ended;
    --ranks_->under_way;
  }

 private:
  std::shared_ptr<NcclRanks> ranks_;
  std::vector<NcclCall> calls_;
  std::int64_t turn_;  // among the launches of the communicator; 0 in a graph
  bool hangs_;
  std::vector<Transfer> transfers_;
};

std::atomic<int> planted{-1};

// A device goes on by itself, even while its host waits for another rank: this thread stands for
// that. It takes up a stream that holds operations some time after they were launched.
class Progress {
 public:
  static Progress& instance() {
    static auto* progress = new Progress;
    return *progress;
  }
  void add(cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    streams_.insert(stream);
  }

 private:
  Progress() {
    std::thread([this] { run(); }).detach();
  }
  void run() {
    while (true) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      std::set<cudaStream_t> streams;
      {
        const std::lock_guard lock(mutex_);
        streams.swap(streams_);
      }
      for (cudaStream_t stream : streams) {
        if (go_on(stream)) add(stream);
      }
    }
  }
  // Whether there is more to do.
  static bool go_on(cudaStream_t stream) {
    Streams& all = Streams::instance();
    std::unique_lock lock(all.mutex);
    for (int i = 0; i < 100; ++i) {
      if (!all.all.contains(stream) || stream->items.empty()) return false;
      all.run_one(*stream, lock);
    }
    return true;
  }

  std::mutex mutex_;
  std::set<cudaStream_t> streams_;
};

}  // namespace

const char* name_of(Kind kind) {
  static constexpr const char* kNames[] = {"all_reduce", "reduce_scatter", "all_gather",
                                           "broadcast",  "send",           "receive"};
  return kNames[static_cast<int>(kind)];
}

std::size_t size_of(ncclDataType_t type) {
  static constexpr std::size_t kSizes[ncclNumTypes] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};
  return kSizes[type];
}

void plant_nccl_fault(NcclFault fault) { planted = static_cast<int>(fault); }

ncclResult_t launch(const std::shared_ptr<NcclRanks>& ranks, std::vector<NcclCall> calls,
                    cudaStream_t stream) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(stream, &capture) != cudaSuccess) return ncclUnhandledCudaError;
  const bool captured = capture != cudaStreamCaptureStatusNone;
  const int fault = planted.exchange(-1);
  const std::string name = std::string("NCCL ") + name_of(calls.front().kind);
  const auto work = std::make_shared<GroupedCalls>(ranks, std::move(calls),
                                                   captured ? 0 : ++ranks->launched, fault >= 0);
  if (!captured) ++ranks->under_way;
  const cudaError_t error = enqueue(
      stream, name, [work] { work->finish(); }, [work] { return work->ready(); });
  if (error != cudaSuccess) return ranks->fail(ncclUnhandledCudaError, cudaGetErrorString(error));
  if (fault == static_cast<int>(NcclFault::remote_error)) {
    ranks->fail(ncclRemoteError, "planted by a test");
    ranks->state = ncclRemoteError;
  }
  Progress::instance().add(stream);
  return ncclSuccess;
}

}  // namespace cuda_emulator
