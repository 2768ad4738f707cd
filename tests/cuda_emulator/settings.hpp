// What the environment asks of the emulator.
#pragma once

#include <cstddef>
#include <string>

namespace cuda_emulator {

enum class ThreadOrder { forward, reverse, random };

struct Settings {
  int devices = 1;                                  // WEFT_EMULATED_GPUS
  std::size_t device_bytes = std::size_t{1} << 30;  // WEFT_EMULATED_GPU_MEMORY, of each device
  int multiprocessors = 4;                          // WEFT_EMULATED_SMS
  ThreadOrder order = ThreadOrder::forward;         // CUDA_EMULATOR_ORDER=forward|reverse|random
  bool eager_streams = false;                       // CUDA_EMULATOR_STREAMS=late|eager
  std::string dropped_file;                         // CUDA_EMULATOR_DROP_BARRIER=file:line
  unsigned dropped_line = 0;
  std::string report;  // WEFT_KERNEL_REPORT: a folder
};

// Read once, at first use.
const Settings& settings();

}  // namespace cuda_emulator
