// Which allocator serves which device.
#include "core/base/error.hpp"
#include "core/tensor/cpu_allocator.hpp"

namespace weft {

Allocator& allocator(Device device) {
  // Never destroyed: storages with static lifetime may be freed after any static destructor.
  static auto* cpu = new CpuAllocator;
  if (device.type != DeviceType::cpu)
    throw Error("this build has no CUDA backend", "use --device cpu");
  return *cpu;
}

}  // namespace weft
