// Streams, events, memory and copies of one GPU.
#include "core/backend/cuda/runtime.hpp"

#include <cstring>
#include <map>
#include <memory>

#include "core/backend/cuda.hpp"
#include "core/base/error.hpp"

#ifndef WEFT_MARK_BLOCK
// For a checker of memory that works in the order of the stream, as the emulator of the tests does,
// which brings its own: from here on the first `bytes` of the block's `size` belong to a tensor.
#define WEFT_MARK_BLOCK(stream, p, bytes, size) \
  static_cast<void>(stream), static_cast<void>(p), static_cast<void>(bytes), static_cast<void>(size)
#endif

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
  if (code == cudaErrorNotReady) {
    cudaGetLastError();  // an answer, which the check of the next launch would take for an error
    return false;
  }
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

namespace {

// Makes `device` CUDA's current one, which belongs to the thread. Only here, as the last choice is
// remembered.
cudaError_t set_current(int device) {
  thread_local int chosen = -1;
  if (chosen == device) return cudaSuccess;
  const cudaError_t code = cudaSetDevice(device);
  if (code == cudaSuccess) chosen = device;
  return code;
}

}  // namespace

CudaAllocator::CudaAllocator(int device, cudaStream_t stream)
    : CachingAllocator("cuda:" + std::to_string(device)), device_(device), stream_(stream) {}

void* CudaAllocator::from_system(std::size_t bytes) {
  check_cuda(set_current(device_), "choosing the GPU");  // the calling thread may be a new one
  void* p = nullptr;
  const cudaError_t code = cudaMalloc(&p, bytes);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check_cuda(code, "allocating device memory");
  return p;
}

void CudaAllocator::to_system(void* p, std::size_t) noexcept {
  if (set_current(device_) == cudaSuccess) cudaFree(p);
}

void CudaAllocator::mark(void* p, std::size_t bytes, std::size_t size) noexcept {
  WEFT_MARK_BLOCK(stream_, p, bytes, size);
}

namespace {

cudaDeviceProp choose(int device) {
  if (device < 0 || device >= cuda_device_count()) {
    const CudaReport report = cuda_report();
    throw Error("there is no GPU cuda:" + std::to_string(device) +
                    (report.problem.empty() ? "" : ": " + report.problem),
                report.hint);
  }
  check_cuda(set_current(device), "choosing the GPU");
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device), "asking for the GPU's properties");
  return properties;
}

}  // namespace

CudaRuntime::CudaRuntime(int device)
    : device_(device), properties_(choose(device)), allocator_(device, compute_.get()) {}

CudaRuntime& CudaRuntime::of(int device) {
  static std::mutex mutex;
  static auto* runtimes = new std::map<int, std::unique_ptr<CudaRuntime>>;
  const std::lock_guard lock(mutex);
  auto& runtime = (*runtimes)[device];
  if (!runtime) runtime.reset(new CudaRuntime(device));
  check_cuda(set_current(device), "choosing the GPU");
  return *runtime;
}

std::span<std::byte> CudaRuntime::staging_room() {
  if (filled_ == kStageBytes) {
    uploads_[open_].used.record(stream());
    open_ = (open_ + 1) % uploads_.size();
    uploads_[open_].used.wait();
    filled_ = 0;
  }
  return {uploads_[open_].memory.data() + filled_, kStageBytes - filled_};
}

// A captured copy would move, at each replay, what happens to be in the stage then.
void CudaRuntime::refuse_in_capture(std::string_view what) const {
  if (!capturing_) return;
  throw Error(std::string(what) + " cuda:" + std::to_string(device_) +
              " cannot be part of a captured graph");
}

void CudaRuntime::upload(Tensor& device, const Tensor& host) {
  refuse_in_capture("an upload to");
  const std::lock_guard lock(staging_);
  auto* to = static_cast<std::byte*>(device.raw());
  const auto* from = static_cast<const std::byte*>(host.raw());
  for (std::size_t first = 0; first < host.bytes();) {
    const std::span<std::byte> room = staging_room();
    const std::size_t count = std::min(room.size(), host.bytes() - first);
    std::memcpy(room.data(), from + first, count);
    check_cuda(cudaMemcpyAsync(to + first, room.data(), count, cudaMemcpyHostToDevice, stream()),
               "copying to the device");
    const std::size_t whole = (count + kAlignment - 1) / kAlignment * kAlignment;
    filled_ += std::min(room.size(), whole);
    first += count;
  }
}

void CudaRuntime::download(std::span<Tensor> hosts, std::span<const Tensor> devices) {
  refuse_in_capture("a download from");
  const std::lock_guard lock(staging_);
  struct Piece {
    std::byte* to;
    const std::byte* staged;
    std::size_t count;
  };
  // As many pieces as fit the stage go together: the scalars of a step cost one wait.
  std::vector<Piece> pieces;
  std::size_t filled = 0;
  const auto flush = [&] {
    downloads_.used.record(stream());
    downloads_.used.wait();
    for (const Piece& p : pieces) std::memcpy(p.to, p.staged, p.count);
    pieces.clear();
    filled = 0;
    filled_ = 0;  // every upload before it is done too
  };
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    auto* to = static_cast<std::byte*>(hosts[i].raw());
    const auto* from = static_cast<const std::byte*>(devices[i].raw());
    for (std::size_t first = 0; first < hosts[i].bytes();) {
      if (filled == kStageBytes) flush();
      const std::size_t count = std::min(kStageBytes - filled, hosts[i].bytes() - first);
      std::byte* staged = downloads_.memory.data() + filled;
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
  refuse_in_capture("waiting for");
  check_cuda(cudaStreamSynchronize(stream()), "waiting for the device");
}

}  // namespace weft
