// Which of the instruction sets, that kernels are compiled for, this CPU runs.
#pragma once

#include <optional>

namespace weft {

enum class CpuLevel {
  baseline,  // what the whole program is compiled for: AVX2, if nobody chose otherwise
  avx512,
};

// The highest one this CPU has, DNNL_MAX_CPU_ISA counting, or the one that was asked for.
CpuLevel cpu_level();

// Makes later calls of cpu_level() return this level if the CPU has it; none makes them choose
// again. For comparisons.
void set_cpu_level(std::optional<CpuLevel> level);

// One of a kernel's versions, see for_each_level.inc.
template <class Kernel>
Kernel* for_this_cpu(Kernel* baseline, Kernel* avx512) {
  return cpu_level() == CpuLevel::avx512 ? avx512 : baseline;
}

}  // namespace weft
