// The CUDA backend as a whole: its making, copies to and from the host, and what it reports of the
// machine.
#include "core/backend/cuda/cuda_backend.hpp"

#include <map>
#include <mutex>

#include "core/backend/cuda.hpp"
#include "core/backend/cuda/cublaslt_state.hpp"
#include "core/backend/cuda/sdpa.hpp"
#include "core/backend/device_check.hpp"

namespace weft {

CudaBackend::CudaBackend(int device)
    : runtime_(CudaRuntime::of(device)),
      cublaslt_(std::make_unique<CublasLt>(runtime_)),
      sdpa_(std::make_unique<Sdpa>()) {}
CudaBackend::~CudaBackend() = default;

void CudaBackend::upload(Tensor& to, const Tensor& host) {
  require_on(device(), "upload", to);
  require_on({}, "upload", host);
  runtime_.upload(to, host);
}
void CudaBackend::download(std::span<Tensor> hosts, std::span<const Tensor> devices) {
  require_on({}, "download", hosts);
  require_on(device(), "download", devices);
  runtime_.download(hosts, devices);
}
void CudaBackend::synchronize() { runtime_.synchronize(); }
std::unique_ptr<DeviceGraph> CudaBackend::capture(const std::function<void()>& issue) {
  return runtime_.capture(issue);
}

Backend& cuda_backend(int index) {
  CudaRuntime::of(index);  // for the thread's current device
  static std::mutex mutex;
  static auto* backends = new std::map<int, std::unique_ptr<CudaBackend>>;
  const std::lock_guard lock(mutex);
  auto& backend = (*backends)[index];
  if (!backend) backend = std::make_unique<CudaBackend>(index);
  return *backend;
}

Allocator& cuda_allocator(int index) { return CudaRuntime::of(index).allocator(); }

}  // namespace weft
