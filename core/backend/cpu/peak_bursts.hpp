// Bursts of arithmetic that nothing but the execution units limits, each in a file of its own
// instructions.
#pragma once

namespace weft {

// Runs so many rounds on the calling thread and returns the floating-point operations done.
using Burst = double (*)(long rounds);

// Null where the CPU or the system has none of those instructions.
Burst fma_burst();
Burst bf16_dot_burst();
Burst amx_burst();
Burst amx_from_l2_burst();

// Keeps the result of a burst, so that it must be computed.
inline void keep(float result) { asm volatile("" : : "x"(result)); }

}  // namespace weft
