// What programs that time calls of a backend begin with: tensors of a device, and the time of a
// call.
#pragma once

#include <algorithm>
#include <ctime>
#include <functional>

#include <omp.h>

#include "core/backend/transfer.hpp"

namespace weft {

inline bool on_cpu(Device device) { return device.type == DeviceType::cpu; }

// One thread is timed by the processor time it took, so that a busy machine counts little.
inline double timing_clock(Device device) {
  const bool processor_time = on_cpu(device) && omp_get_max_threads() == 1;
  timespec t{};
  clock_gettime(processor_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

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

// Noise in [-0.02, 0.02): a GPU draws less power, and runs faster, on numbers that are all the
// same.
inline Tensor filled(const Shape& shape, DType dtype, Device device) {
  constexpr std::int64_t kPeriod = 1 << 20;
  const std::int64_t n = shape.numel();
  Tensor host({std::min(n, kPeriod)}, DType::f32);
  for (std::int64_t i = 0; i < host.numel(); ++i) {
    host.data<float>()[i] =
        0.04F * (uniform_from(philox_u32({}, static_cast<std::uint64_t>(i))) - 0.5F);
  }
  const Tensor period = to_device(host, device);
  Tensor x(shape, dtype, device);
  for (std::int64_t first = 0; first < n; first += kPeriod) {
    const std::int64_t count = std::min(n - first, kPeriod);
    Tensor part = x.slice_flat(first, {count});
    backend(x).copy(part, period.narrow(0, count));
  }
  return x;
}

// A GPU's bandwidth, by a long sum y += a, which moves no more than it counts.
inline double device_peak_bytes(Device device) {
  constexpr std::int64_t n = std::int64_t{64} << 20;
  const Tensor a = filled({n}, DType::f32, device);
  Tensor y = filled({n}, DType::f32, device);
  return 3.0 * n * sizeof(float) / best_time(device, 0.5, [&] { backend(y).add(y, y, a); });
}

}  // namespace weft
