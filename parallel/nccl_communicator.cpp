// The communicator of ranks that have a GPU each: tensors there go through NCCL.
#include "parallel/nccl_communicator.hpp"

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/host.hpp"
#include "parallel/agree.hpp"
#include "parallel/nccl_group.hpp"
#include "parallel/operation.hpp"

namespace weft {

namespace {

ncclDataType_t nccl_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return ncclFloat32;
    case DType::bf16:
      return ncclBfloat16;
    case DType::f16:
      return ncclFloat16;
    case DType::i32:
      return ncclInt32;
    case DType::u8:
      return ncclUint8;
    case DType::f64:
      return ncclFloat64;
  }
  return ncclNumTypes;
}

ncclRedOp_t nccl_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return ncclSum;
    case ReduceOp::max:
      return ncclMax;
    case ReduceOp::min:
      return ncclMin;
  }
  return ncclNumOps;
}

std::size_t count(const Tensor& x) { return static_cast<std::size_t>(x.numel()); }

using NcclCall = std::function<ncclResult_t(ncclComm_t)>;

NcclCall sum(const Tensor& x, ReduceOp op, cudaStream_t stream) {
  return [=](ncclComm_t comm) {
    return ncclAllReduce(x.raw(), x.raw(), count(x), nccl_type(x.dtype()), nccl_op(op), comm,
                         stream);
  };
}

// Reduces on a stream of its own: events make it follow the compute stream, and wait() makes the
// compute stream follow it. The host waits for neither, but for the other ranks in NCCL's first
// calls.
class NcclReducer final : public BackgroundReducer {
 public:
  explicit NcclReducer(std::shared_ptr<NcclGroup> group) : group_(std::move(group)) {}
  ~NcclReducer() override {
    try {
      follow();  // before the memory of the tensors is used again
    } catch (const Error&) {
      // An error unwinds already, or the next call throws it.
    }
  }

  void all_reduce(const Tensor& x) override {
    ready_.record(group_->runtime().stream());
    ready_.make_wait(stream_.get());
    kept_.push_back(x);
    if (x.numel() == 0) return;
    group_->issue({"all_reduce", x}, stream_.get(), sum(x, ReduceOp::sum, stream_.get()));
  }
  void wait() override {
    group_->watch().rethrow_failure();
    follow();
    kept_.clear();
  }

 private:
  void follow() {
    if (kept_.empty()) return;
    done_.record(stream_.get());
    done_.make_wait(group_->runtime().stream());
  }

  std::shared_ptr<NcclGroup> group_;
  CudaStream stream_{CudaStream::Priority::high};
  CudaEvent ready_, done_;
  std::vector<Tensor> kept_;  // what the stream may still be using
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::unique_ptr<Communicator> host, std::shared_ptr<NcclGroup> group)
      : host_(std::move(host)), group_(std::move(group)) {}

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }

  void all_reduce(Tensor& x, ReduceOp op) override {
    if (on_host(x)) return host().all_reduce(x, op);
    require_here("all_reduce", x);
    require_reducible("all_reduce", x);
    issue("all_reduce", x, sum(x, op, stream()));
  }
  void all_gather(Tensor& out, const Tensor& x) override;
  void reduce_scatter(Tensor& out, const Tensor& x) override;
  void broadcast(Tensor& x, int root) override;
  void send(const Tensor& x, int to, int tag) override;
  void receive(Tensor& x, int from, int tag) override;

  void grouped(const std::function<void()>& calls) override;
  void barrier() override { host().barrier(); }
  void rethrow_failure() const override { group_->watch().rethrow_failure(); }
  bool capturable() const override { return true; }
  void watch_replay() override { group_->watch_replay(stream()); }
  double all_reduce(double x, ReduceOp op) override { return host().all_reduce(x, op); }
  void all_reduce(std::span<std::int64_t> x, ReduceOp op) override { host().all_reduce(x, op); }
  std::string broadcast(const std::string& s, int root) override {
    return host().broadcast(s, root);
  }
  std::vector<std::string> roll_call(const std::string& word,
                                     std::chrono::milliseconds time) override {
    return host_->roll_call(word, time);
  }

  std::unique_ptr<BackgroundReducer> background_reducer(Device device) const override {
    if (device.type == DeviceType::cpu) return host().background_reducer(device);
    group_->runtime();
    return std::make_unique<NcclReducer>(group_);
  }
  std::unique_ptr<Communicator> split(int color, int key) const override;

 private:
  // What goes on after NCCL has failed would be an error of other ranks only.
  Communicator& host() const {
    rethrow_failure();
    return *host_;
  }
  cudaStream_t stream() const { return group_->runtime().stream(); }
  // `call` holds the tensors that it uses: it may be made later.
  void issue(std::string_view operation, const Tensor& x, NcclCall call) {
    if (x.numel() == 0) return;
    if (queue_) {
      queue_->push_back({{operation, x}, std::move(call)});
    } else {
      group_->issue({operation, x}, stream(), call);
    }
  }
  static bool on_host(const Tensor& x) { return x.device().type == DeviceType::cpu; }
  void require_here(std::string_view operation, const Tensor& x) const {
    const Device here = group_->watch().device();
    if (x.device() == here) return;
    refuse(operation, *this,
           fmt::format("{} is on {}, this communicator serves {}", operand(x), x.device().str(),
                       here.str()));
  }
  void require_reducible(std::string_view operation, const Tensor& x) const {
    if (x.dtype() == DType::u8) refuse(operation, *this, operand(x) + " cannot be reduced");
  }
  void require_rank(std::string_view operation, const Tensor& x, int other) const {
    if (other >= 0 && other < size()) return;
    throw Error(fmt::format("{} of {} failed on rank {} of {}: there is no rank {}", operation,
                            operand(x), rank(), size(), other));
  }
  void require_other_rank(std::string_view operation, const Tensor& x, int other) const {
    require_rank(operation, x, other);
    if (other == rank()) refuse(operation, *this, "a rank sends nothing to itself");
  }

  struct Queued {
    NcclOperation operation;
    NcclCall call;
  };

  std::unique_ptr<Communicator> host_;
  std::shared_ptr<NcclGroup> group_;
  std::optional<std::vector<Queued>> queue_;  // within grouped()
};

void NcclCommunicator::grouped(const std::function<void()>& calls) {
  if (queue_) return calls();  // of the group around this one
  queue_.emplace();
  try {
    calls();
  } catch (...) {
    queue_.reset();
    throw;
  }
  const std::vector<Queued> queue = *std::exchange(queue_, std::nullopt);
  if (queue.empty()) return;
  NcclOperation operation = queue.front().operation;
  operation.more = queue.size() - 1;
  group_->issue(operation, stream(), [&](ncclComm_t comm) {
    ncclResult_t code = ncclGroupStart();
    if (code != ncclSuccess) return code;
    const auto goes_on = [&] { return code == ncclSuccess || code == ncclInProgress; };
    for (auto q = queue.begin(); q != queue.end() && goes_on(); ++q) code = q->call(comm);
    const ncclResult_t end = ncclGroupEnd();
    return goes_on() ? end : code;
  });
}

void NcclCommunicator::all_gather(Tensor& out, const Tensor& x) {
  if (on_host(x)) return host().all_gather(out, x);
  require_here("all_gather", x);
  require_here("all_gather", out);
  require_blocks("all_gather", *this, out, x);
  issue("all_gather", x, [=, stream = stream()](ncclComm_t comm) {
    return ncclAllGather(x.raw(), out.raw(), count(x), nccl_type(x.dtype()), comm, stream);
  });
}

void NcclCommunicator::reduce_scatter(Tensor& out, const Tensor& x) {
  if (on_host(x)) return host().reduce_scatter(out, x);
  require_here("reduce_scatter", x);
  require_here("reduce_scatter", out);
  require_blocks("reduce_scatter", *this, x, out);
  require_reducible("reduce_scatter", x);
  issue("reduce_scatter", x, [=, stream = stream()](ncclComm_t comm) {
    return ncclReduceScatter(x.raw(), out.raw(), count(out), nccl_type(x.dtype()), ncclSum, comm,
                             stream);
  });
}

void NcclCommunicator::broadcast(Tensor& x, int root) {
  if (on_host(x)) return host().broadcast(x, root);
  require_here("broadcast", x);
  require_rank("broadcast", x, root);
  issue("broadcast", x, [=, stream = stream()](ncclComm_t comm) {
    return ncclBroadcast(x.raw(), x.raw(), count(x), nccl_type(x.dtype()), root, comm, stream);
  });
}

void NcclCommunicator::send(const Tensor& x, int to, int tag) {
  if (on_host(x)) return host().send(x, to, tag);
  require_here("send", x);
  require_other_rank("send", x, to);
  issue("send", x, [=, stream = stream()](ncclComm_t comm) {
    return ncclSend(x.raw(), count(x), nccl_type(x.dtype()), to, comm, stream);
  });
}

void NcclCommunicator::receive(Tensor& x, int from, int tag) {
  if (on_host(x)) return host().receive(x, from, tag);
  require_here("receive", x);
  require_other_rank("receive", x, from);
  issue("receive", x, [=, stream = stream()](ncclComm_t comm) {
    return ncclRecv(x.raw(), count(x), nccl_type(x.dtype()), from, comm, stream);
  });
}

std::unique_ptr<Communicator> NcclCommunicator::split(int color, int key) const {
  std::unique_ptr<Communicator> part = host().split(color, key);
  std::unique_ptr<Communicator> words = part->size() > 1 ? part->duplicate() : nullptr;
  std::shared_ptr<NcclGroup> group = group_->split(color, key, std::move(words));
  if (!group) return part;
  return std::make_unique<NcclCommunicator>(std::move(part), std::move(group));
}

// This rank's GPU, unlike any other in the world.
std::string gpu_name(Device device) {
  const CudaRuntime& runtime = CudaRuntime::of(device.index);
  char bus[32] = {};
  check_cuda(cudaDeviceGetPCIBusId(bus, sizeof bus, device.index), "asking for the GPU's address");
  std::string uuid;
  for (const char byte : runtime.properties().uuid.bytes) {
    uuid += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return fmt::format("{} of {} ({})", bus, host_name(), uuid);
}

// "ranks 0 and 1 share ..." when two of them have one GPU, else "". The same on all ranks.
std::string shared_gpu(Communicator& host, Device device) {
  std::string own;
  agree(host, [&] { own = gpu_name(device); });
  std::vector<std::string> names;
  for (int r = 0; r < host.size(); ++r) names.push_back(host.broadcast(own, r));
  for (std::size_t b = 1; b < names.size(); ++b) {
    for (std::size_t a = 0; a < b; ++a) {
      if (names[a] == names[b]) return fmt::format("ranks {} and {} share GPU {}", a, b, names[a]);
    }
  }
  return "";
}

}  // namespace

std::unique_ptr<Communicator> nccl_communicator(std::unique_ptr<Communicator> host, Device device,
                                                const NcclOptions& options) {
  if (host->size() == 1 && !options.even_alone) return host;
  if (const std::string shared = shared_gpu(*host, device); !shared.empty()) {
    if (!options.on_shared_gpu) {
      throw Error(shared + ", NCCL wants one for each rank",
                  "start as many ranks as there are GPUs");
    }
    if (host->rank() == 0) {
      options.on_shared_gpu(shared + ": what they send goes through host memory, which is slow");
    }
    return host;
  }
  NcclOptions watched = options;
  watched.on_shared_gpu = {};  // may refer to what ends before the watch
  auto watch = std::make_shared<NcclWatch>(device, watched);
  auto group = NcclGroup::make(std::move(watch), host->duplicate());
  return std::make_unique<NcclCommunicator>(std::move(host), std::move(group));
}

std::string nccl_version() {
  int code = 0;
  if (ncclGetVersion(&code) != ncclSuccess) return "";
  return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

}  // namespace weft
