// The CUDA runtime as the backend uses it: errors, streams, events, memory of the device and pinned
// memory of the host.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <cuda_runtime.h>

#include "core/backend/backend.hpp"
#include "core/tensor/caching_allocator.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// Throws Error naming `what` and CUDA's own words unless `code` is success.
void check_cuda(cudaError_t code, std::string_view what);

class CudaEvent {
 public:
  explicit CudaEvent(bool timed = false);
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  cudaEvent_t get() const { return event_; }

  void record(cudaStream_t stream);           // everything issued on it so far
  void make_wait(cudaStream_t stream) const;  // what is issued on it from now on
  void wait() const;                          // the calling thread
  bool done() const;                          // without waiting; true before any record()
  float milliseconds_since(const CudaEvent& earlier) const;  // both timed, and done

 private:
  cudaEvent_t event_ = nullptr;
};

class CudaStream {
 public:
  enum class Priority { normal, high };
  explicit CudaStream(Priority priority = Priority::normal);
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// Page-locked host memory, which the device reads and writes at full speed while the host goes on.
class PinnedBuffer {
 public:
  explicit PinnedBuffer(std::size_t bytes);
  ~PinnedBuffer();
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class CudaAllocator final : public CachingAllocator {
 public:
  // The memory is used in the order of `stream`, or by what waits for that and is waited for.
  CudaAllocator(int device, cudaStream_t stream);
  ~CudaAllocator() override { release_cached(); }

 private:
  void* from_system(std::size_t bytes) override;
  void to_system(void* p, std::size_t bytes) noexcept override;
  void mark(void* p, std::size_t bytes, std::size_t size) noexcept override;
  int device_;
  cudaStream_t stream_;
};

// One GPU of this process: all kernels run on its compute stream, one after the other.
class CudaRuntime {
 public:
  // Made at first use, never destroyed; becomes the calling thread's current device. Throws Error
  // when there is no such GPU.
  static CudaRuntime& of(int device);

  int device() const { return device_; }
  cudaStream_t stream() const { return compute_.get(); }
  const cudaDeviceProp& properties() const { return properties_; }
  CudaAllocator& allocator() { return allocator_; }

  // As Backend's: in the order of the compute stream.
  void upload(Tensor& device, const Tensor& host);
  void download(std::span<Tensor> hosts, std::span<const Tensor> devices);
  void synchronize();
  std::unique_ptr<DeviceGraph> capture(const std::function<void()>& issue);
  bool capturing() const { return capturing_; }  // nobody can wait for the stream then

 private:
  explicit CudaRuntime(int device);
  void refuse_in_capture(std::string_view what) const;

  // Copies go through pinned memory. Uploads of any size follow each other in a stage, and the host
  // waits only when it comes back to one that the device has not done with; a download waits for
  // all that came before it.
  static constexpr std::size_t kStageBytes = std::size_t{4} << 20;
  static constexpr std::size_t kAlignment = 256;  // of an upload within a stage, as of cudaMalloc
  struct Stage {
    PinnedBuffer memory{kStageBytes};
    CudaEvent used;  // recorded after the last copy
  };
  std::span<std::byte> staging_room();  // some of a stage, for the next upload

  int device_;
  cudaDeviceProp properties_{};
  CudaStream compute_;
  CudaAllocator allocator_;
  bool capturing_ = false;
  std::mutex staging_;  // guards what follows
  std::array<Stage, 4> uploads_;
  std::size_t open_ = 0;    // the stage that is being filled
  std::size_t filled_ = 0;  // bytes of it
  Stage downloads_;
};

}  // namespace weft
