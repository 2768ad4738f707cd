// How fast a device computes and copies.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/device.hpp"
#include "core/tensor/dtype.hpp"

namespace weft {

struct Rate {
  std::string name;  // "matmul bf16"
  std::string size;  // of what was measured: "8192 x 8192 x 8192"
  double value = 0;  // per second
  std::string unit;  // "FLOP" or "B"
  double peak = 0;   // what a GPU's maker says, or a CPU's units reach; 0: not known
};

// Products, copies, attention: on a GPU in bf16 and fp32 as Weft computes them, some seconds in
// all.
std::vector<Rate> device_rates(Device device);

// Of a large product in `dtype`, whose size grows with the device's speed.
Rate matmul_rate(DType dtype, Device device);
// Of an addition of large tensors: bytes read and written.
Rate memory_rate(Device device);

// Seconds of one call, the best of some turns, each of them long enough to be timed. `call` begins
// work on the device.
double seconds_of(Device device, const std::function<void()>& call);

}  // namespace weft
