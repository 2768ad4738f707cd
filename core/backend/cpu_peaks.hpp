// The ceilings of the CPU that this runs on: what measured rates are compared with.
#pragma once

#include "core/tensor/dtype.hpp"

namespace weft {

enum class CpuPeak {
  fma,         // fp32 multiply-adds in registers, by the widest instructions there are
  bf16_dot,    // vdpbf16ps in registers
  amx,         // products of bf16 tiles in registers
  amx_from_l2  // the same, every tile of both factors loaded from the second-level cache
};

// Floating-point operations (a multiply-add is two) per second of all threads of this process
// together, the best of many turns, in 0.06 s. 0 where the CPU has no such instructions, or the
// system does not permit them.
double measure(CpuPeak which);

// Bytes read and written per second by all threads, on arrays far beyond the caches.
struct MemoryRates {
  double read = 0;   // an array, summed
  double copy = 0;   // y = x
  double triad = 0;  // z = x + s y
};
MemoryRates measure_memory();  // about a second

// The highest rate that a product of `dtype` could reach, and the highest rate of memory: measured
// at the first call. bf16 can be computed in fp32.
double cpu_peak_flops(DType dtype);
double cpu_peak_bytes();

}  // namespace weft
