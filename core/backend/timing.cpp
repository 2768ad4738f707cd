// What is timed and by which clock, where calls of a backend are measured alone.
#include "core/backend/timing.hpp"

#include <algorithm>
#include <ctime>

#include <omp.h>

#include "core/backend/transfer.hpp"

namespace weft {

double timing_clock(Device device) {
  const bool processor_time = device.type == DeviceType::cpu && omp_get_max_threads() == 1;
  timespec t{};
  clock_gettime(processor_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

Tensor noise(const Shape& shape, const TensorOptions& options) {
  constexpr std::int64_t kPeriod = 1 << 16;
  const std::int64_t n = shape.numel();
  Tensor host({std::min(n, kPeriod)}, DType::f32);
  for (std::int64_t i = 0; i < host.numel(); ++i) {
    host.data<float>()[i] =
        0.04F * (uniform_from(philox_u32({}, static_cast<std::uint64_t>(i))) - 0.5F);
  }
  const Tensor period = to_device(host, options.device);
  Tensor x(shape, options);
  for (std::int64_t first = 0; first < n; first += kPeriod) {
    const std::int64_t count = std::min(n - first, kPeriod);
    Tensor part = x.slice_flat(first, {count});
    backend(x).copy(part, period.narrow(0, count));
  }
  return x;
}

}  // namespace weft
