// Which backend and which allocator serve which device.
#include <map>
#include <mutex>

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cuda.hpp"
#include "core/backend/device_timer.hpp"
#include "core/backend/profiled_backend.hpp"
#include "core/backend/timeline.hpp"
#include "core/tensor/caching_allocator.hpp"

namespace weft {

namespace {

Backend& profiled_gpu(int index) {
  static std::mutex mutex;
  static auto* backends = new std::map<int, ProfiledBackend>;
  Backend& cuda = cuda_backend(index);
  const std::lock_guard lock(mutex);
  if (const auto it = backends->find(index); it != backends->end()) return it->second;
  return backends->try_emplace(index, cuda, cuda_timer(index)).first->second;
}

}  // namespace

Backend& backend(Device device) {
  if (device.type == DeviceType::cuda) {
    return is_recording() ? profiled_gpu(device.index) : cuda_backend(device.index);
  }
  static auto* cpu = new CpuBackend;
  static auto* profiled = new ProfiledBackend(*cpu);
  if (is_recording()) return *profiled;
  return *cpu;
}

CachingAllocator& caching_allocator(Device device) {
  return static_cast<CachingAllocator&>(allocator(device));
}

Allocator& allocator(Device device) {
  if (device.type == DeviceType::cuda) return cuda_allocator(device.index);
  // Never destroyed: storages with static lifetime may be freed after any static destructor.
  static auto* cpu = new CpuAllocator;
  return *cpu;
}

}  // namespace weft
