// Which backend serves which device.
#include "core/backend/backend.hpp"
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/base/error.hpp"

namespace weft {

Backend& backend(Device device) {
  static auto* cpu = new CpuBackend;
  if (device.type != DeviceType::cpu)
    throw Error("this build has no CUDA backend", "use --device cpu");
  return *cpu;
}

}  // namespace weft
