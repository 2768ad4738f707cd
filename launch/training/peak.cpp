// The rate of matrix products that a device reaches.
#include "launch/training/peak.hpp"

#include <algorithm>
#include <chrono>

#include "core/backend/backend.hpp"

namespace weft {

double measure_peak_flops(DType dtype, Device device) {
  constexpr std::int64_t n = 512;
  constexpr int runs = 40;  // short ones: some meet no other program; the first compiles
  Tensor a({n, n}, dtype, device);
  Tensor b({n, n}, dtype, device);
  Tensor c({n, n}, dtype, device);
  Backend& device_backend = backend(device);
  device_backend.fill(a, 1.0F);
  device_backend.fill(b, 1.0F);
  double best = 0;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    device_backend.matmul(c, a, b, {});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * n * n * n / seconds.count());
  }
  return best;
}

}  // namespace weft
