// Choosing the instruction set by what the CPU can do.
#include "core/backend/cpu/simd/level.hpp"

#include <algorithm>
#include <atomic>

#include "core/backend/cpu/onednn.hpp"

namespace weft {

namespace {

std::atomic<std::optional<CpuLevel>> wanted;

}  // namespace

CpuLevel cpu_level() {
  static const CpuLevel highest = cpu_has_avx512() ? CpuLevel::avx512 : CpuLevel::baseline;
  return std::min(wanted.load().value_or(highest), highest);
}

void set_cpu_level(std::optional<CpuLevel> level) { wanted = level; }

}  // namespace weft
