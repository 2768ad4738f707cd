// Copies and fills: the kind is held against the pointers, and what the host may change at once is
// copied at once.
#include <cstring>
#include <memory>
#include <string>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/memory.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"
#include "tests/cuda_emulator/streams.hpp"

using namespace cuda_emulator;

namespace {

cudaError_t refused(const char* call, const std::string& why) {
  explain(std::string(call) + ": " + why);
  return failed(cudaErrorInvalidValue);
}

// Whether [p, p + bytes) is memory of the device, when that is what the kind says, or of the host.
cudaError_t check_side(const char* call, const char* side, const void* p, std::size_t bytes,
                       bool device) {
  DeviceMemory& memory = DeviceMemory::instance();
  if (device != memory.contains(p))
    return refused(call, std::string(side) + " is " + (device ? "host" : "device") +
                             " memory, against the direction of the copy");
  if (device && !memory.holds(p, bytes))
    return refused(call, std::string(side) + " does not lie in one allocation of the device");
  return cudaSuccess;
}

// cudaMemcpyDefault in terms of the other four.
cudaMemcpyKind kind_of(const void* to, const void* from, cudaMemcpyKind kind) {
  if (kind != cudaMemcpyDefault) return kind;
  DeviceMemory& memory = DeviceMemory::instance();
  if (memory.contains(to))
    return memory.contains(from) ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice;
  return memory.contains(from) ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost;
}

cudaError_t check_copy(const char* call, const void* to, const void* from, std::size_t bytes,
                       cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (const cudaError_t e = check_side(call, "the destination", to, bytes, to_device)) return e;
  return check_side(call, "the source", from, bytes, from_device);
}

// When its turn has come, by then the blocks belong to those for whom it was issued.
void copy_now(void* to, const void* from, std::size_t bytes) {
  check_range("a copy writes", to, bytes);
  check_range("a copy reads", from, bytes);
  std::memcpy(to, from, bytes);
}

}  // namespace

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  kind = kind_of(to, from, kind);
  if (const cudaError_t e = check_copy("cudaMemcpyAsync", to, from, bytes, kind)) return e;
  const auto copy = [=] { copy_now(to, from, bytes); };
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from, bytes)) {
    if (const cudaError_t e = not_while_capturing("cudaMemcpyAsync from pageable memory")) return e;
    const std::shared_ptr<std::byte[]> staged(new std::byte[bytes]);
    std::memcpy(staged.get(), from, bytes);
    return append_work(stream, "copy", [=] { copy_now(to, staged.get(), bytes); });
  }
  if ((kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyHostToHost) && !is_pinned(to, bytes)) {
    if (const cudaError_t e = not_while_capturing("cudaMemcpyAsync to pageable memory")) return e;
    if (const cudaError_t e = append_work(stream, "copy", copy)) return e;
    return cudaStreamSynchronize(stream);
  }
  return append_work(stream, "copy", copy);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t e = not_while_capturing("cudaMemcpy")) return e;
  if (bytes == 0) return cudaSuccess;
  kind = kind_of(to, from, kind);
  if (const cudaError_t e = check_copy("cudaMemcpy", to, from, bytes, kind)) return e;
  if (const cudaError_t e = append_work(nullptr, "copy", [=] { copy_now(to, from, bytes); }))
    return e;
  // Between two places of the device the host does not wait.
  return kind == cudaMemcpyDeviceToDevice ? cudaSuccess : cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t e = check_side("cudaMemsetAsync", "the destination", p, bytes, true))
    return e;
  return append_work(stream, "fill", [=] {
    check_range("a fill writes", p, bytes);
    std::memset(p, value, bytes);
  });
}

cudaError_t cudaMemset(void* p, int value, std::size_t bytes) {
  if (const cudaError_t e = not_while_capturing("cudaMemset")) return e;
  return cudaMemsetAsync(p, value, bytes, nullptr);
}
