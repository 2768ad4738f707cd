// The time of a call of a backend, and what a device's memory reaches.
#pragma once

#include <algorithm>
#include <functional>

#include "core/backend/backend.hpp"
#include "core/backend/timing.hpp"

namespace weft {

inline bool on_cpu(Device device) { return device.type == DeviceType::cpu; }

// Seconds of one call, by the fastest of the turns of about so many seconds, at least three: what
// the others took longer is somebody else's. A GPU gets several calls a turn, so that the wait at
// its end counts little.
inline double best_time(Device device, double seconds, const std::function<void()>& call) {
  const int calls = on_cpu(device) ? 1 : 20;
  const auto turn = [&] {
    for (int i = 0; i < calls; ++i) call();
    backend(device).synchronize();
  };
  turn();
  double best = 1e30;
  const double start = timing_clock(device);
  double before = start;
  for (int turns = 0; turns < 3 || before - start < seconds; ++turns) {
    turn();
    const double after = timing_clock(device);
    best = std::min(best, (after - before) / calls);
    before = after;
  }
  return best;
}

// A GPU's bandwidth, by a long sum y += a, which moves no more than it counts.
inline double device_peak_bytes(Device device) {
  constexpr std::int64_t n = std::int64_t{64} << 20;
  const Tensor a = noise({n}, {DType::f32, device});
  Tensor y = noise({n}, {DType::f32, device});
  return 3.0 * n * sizeof(float) / best_time(device, 0.5, [&] { backend(y).add(y, y, a); });
}

}  // namespace weft
