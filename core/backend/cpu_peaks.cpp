// The ceilings of the CPU that this runs on.
#include "core/backend/cpu_peaks.hpp"

#include <algorithm>

#include "core/backend/cpu/peak_bursts.hpp"
#include "core/backend/timeline.hpp"

namespace weft {

namespace {

// Of one thread: the best of many turns, as what the others took longer is somebody else's.
double best_of_thread(Burst burst) {
  constexpr double kAll = 0.06;    // seconds
  constexpr double kTurn = 0.001;  // at least
  double best = 0;
  long rounds = 1024;
  for (double start = timeline::now(), before = start; before - start < kAll;) {
    const double flops = burst(rounds);
    const double after = timeline::now();
    best = std::max(best, flops / (after - before));
    if (after - before < kTurn) rounds *= 2;
    before = after;
  }
  return best;
}

// All threads at once, for they share power, and often units.
double best_rate(Burst burst) {
  if (burst == nullptr) return 0;
  double sum = 0;
#pragma omp parallel reduction(+ : sum)
  {
#pragma omp barrier
    sum += best_of_thread(burst);
  }
  return sum;
}

}  // namespace

double measure(CpuPeak which) {
  switch (which) {
    case CpuPeak::fma:
      return best_rate(fma_burst());
    case CpuPeak::bf16_dot:
      return best_rate(bf16_dot_burst());
    case CpuPeak::amx:
      return best_rate(amx_burst());
    case CpuPeak::amx_from_l2:
      return best_rate(amx_from_l2_burst());
  }
  return 0;
}

double cpu_peak_flops(DType dtype) {
  static const double fma = measure(CpuPeak::fma);
  if (dtype != DType::bf16) return fma;
  static const double bf16 = std::max({fma, measure(CpuPeak::bf16_dot), measure(CpuPeak::amx)});
  return bf16;
}

double cpu_peak_bytes() {
  static const double bytes = [] {
    const MemoryRates rates = measure_memory();
    return std::max({rates.read, rates.copy, rates.triad});
  }();
  return bytes;
}

}  // namespace weft
