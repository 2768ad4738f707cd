// Streams, events, memory and copies of one GPU.
#include "core/backend/cuda/runtime.hpp"

#include <cstring>
#include <map>
#include <memory>

#include "core/backend/cuda.hpp"
#include "core/base/error.hpp"

namespace weft {

void check_cuda(cudaError_t code, std::string_view what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // the error is told here, and not again by the next call
  throw Error("CUDA: " + std::string(what) + ": " + cudaGetErrorString(code) + " (" +
              cudaGetErrorName(code) + ")");
}

CudaEvent::CudaEvent(bool timed) {
  const unsigned flags = timed ? cudaEventDefault : cudaEventDisableTiming;
  check_cuda(cudaEventCreateWithFlags(&event_, flags), "making an event");
}
CudaEvent::~CudaEvent() { cudaEventDestroy(event_); }
void CudaEvent::record(cudaStream_t stream) {
  check_cuda(cudaEventRecord(event_, stream), "recording an event");
}
void CudaEvent::make_wait(cudaStream_t stream) const {
  check_cuda(cudaStreamWaitEvent(stream, event_, 0), "letting a stream wait");
}
void CudaEvent::wait() const { check_cuda(cudaEventSynchronize(event_), "waiting for the device"); }
bool CudaEvent::done() const {
  const cudaError_t code = cudaEventQuery(event_);
  if (code == cudaErrorNotReady) return false;
  check_cuda(code, "asking for an event");
  return true;
}
float CudaEvent::milliseconds_since(const CudaEvent& earlier) const {
  float time = 0;
  check_cuda(cudaEventElapsedTime(&time, earlier.event_, event_), "reading the time of an event");
  return time;
}

CudaStream::CudaStream(Priority priority) {
  int least = 0, greatest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "asking for stream priorities");
  check_cuda(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking,
                                          priority == Priority::high ? greatest : least),
             "making a stream");
}
CudaStream::~CudaStream() { cudaStreamDestroy(stream_); }

PinnedBuffer::PinnedBuffer(std::size_t bytes) : bytes_(bytes) {
  void* p = nullptr;
  check_cuda(cudaMallocHost(&p, bytes), "allocating pinned host memory");
  data_ = static_cast<std::byte*>(p);
}
PinnedBuffer::~PinnedBuffer() { cudaFreeHost(data_); }

CudaAllocator::CudaAllocator(int device)
    : CachingAllocator("cuda:" + std::to_string(device)), device_(device) {}

void* CudaAllocator::from_system(std::size_t bytes) {
  check_cuda(cudaSetDevice(device_), "choosing the GPU");  // the calling thread may be a new one
  void* p = nullptr;
  const cudaError_t code = cudaMalloc(&p, bytes);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check_cuda(code, "allocating device memory");
  return p;
}

void CudaAllocator::to_system(void* p) noexcept { cudaFree(p); }

namespace {

cudaDeviceProp choose(int device) {
  if (device < 0 || device >= cuda_device_count()) {
    const CudaReport report = cuda_report();
    throw Error("there is no GPU cuda:" + std::to_string(device) +
                    (report.problem.empty() ? "" : ": " + report.problem),
                report.hint);
  }
  check_cuda(cudaSetDevice(device), "choosing the GPU");
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device), "asking for the GPU's properties");
  return properties;
}

}  // namespace

CudaRuntime::CudaRuntime(int device)
    : device_(device), properties_(choose(device)), allocator_(device) {}

CudaRuntime& CudaRuntime::of(int device) {
  static std::mutex mutex;
  static auto* runtimes = new std::map<int, std::unique_ptr<CudaRuntime>>;
  const std::lock_guard lock(mutex);
  auto& runtime = (*runtimes)[device];
  if (!runtime) runtime.reset(new CudaRuntime(device));
  thread_local int chosen = -1;  // CUDA's current device belongs to the thread
  if (chosen != device) {
    check_cuda(cudaSetDevice(device), "choosing the GPU");
    chosen = device;
  }
  return *runtime;
}

CudaRuntime::Stage& CudaRuntime::next_stage() {
  Stage& stage = stages_[turn_++ % stages_.size()];
  stage.used.wait();
  return stage;
}

void CudaRuntime::upload(Tensor& device, const Tensor& host) {
  const std::lock_guard lock(staging_);
  auto* to = static_cast<std::byte*>(device.raw());
  const auto* from = static_cast<const std::byte*>(host.raw());
  for (std::size_t first = 0; first < host.bytes(); first += kPiece) {
    const std::size_t count = std::min(kPiece, host.bytes() - first);
    Stage& stage = next_stage();
    std::memcpy(stage.memory.data(), from + first, count);
    check_cuda(
        cudaMemcpyAsync(to + first, stage.memory.data(), count, cudaMemcpyHostToDevice, stream()),
        "copying to the device");
    stage.used.record(stream());
  }
}

void CudaRuntime::download(std::span<Tensor> hosts, std::span<const Tensor> devices) {
  const std::lock_guard lock(staging_);
  struct Piece {
    std::byte* to;
    const std::byte* staged;
    std::size_t count;
  };
  // As many pieces as fit one stage go together: the scalars of a step cost one wait.
  Stage* stage = &next_stage();
  std::vector<Piece> pieces;
  std::size_t filled = 0;
  const auto flush = [&] {
    stage->used.record(stream());
    stage->used.wait();
    for (const Piece& p : pieces) std::memcpy(p.to, p.staged, p.count);
    pieces.clear();
    filled = 0;
  };
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    auto* to = static_cast<std::byte*>(hosts[i].raw());
    const auto* from = static_cast<const std::byte*>(devices[i].raw());
    for (std::size_t first = 0; first < hosts[i].bytes();) {
      if (filled == kPiece) flush();
      const std::size_t count = std::min(kPiece - filled, hosts[i].bytes() - first);
      std::byte* staged = stage->memory.data() + filled;
      check_cuda(cudaMemcpyAsync(staged, from + first, count, cudaMemcpyDeviceToHost, stream()),
                 "copying from the device");
      pieces.push_back({to + first, staged, count});
      filled += count;
      first += count;
    }
  }
  flush();
}

void CudaRuntime::synchronize() {
  check_cuda(cudaStreamSynchronize(stream()), "waiting for the device");
}

}  // namespace weft
