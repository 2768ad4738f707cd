// The rate of matrix products that a device reaches.
#include "launch/training/peak.hpp"

#include <algorithm>
#include <chrono>

#include "core/backend/cuda.hpp"
#include "core/backend/gpu_peaks.hpp"
#include "launch/doctor/rates.hpp"

namespace weft {

double peak_flops(DType dtype, Device device, bool tf32) {
  if (device.type == DeviceType::cpu) return measure_peak_flops(dtype);
  const auto gpu = cuda_report().gpus.at(static_cast<std::size_t>(device.index));
  const auto peaks = gpu_peaks(gpu.name);
  if (!peaks) return matmul_rate(dtype, device).value;
  return dtype == DType::f32 && tf32 ? peaks->tf32 : peaks->flops(dtype);
}

double measure_peak_flops(DType dtype) {
  constexpr std::int64_t n = 512;
  constexpr int runs = 40;  // short ones: some meet no other program; the first compiles
  Tensor a({n, n}, dtype);
  Tensor b({n, n}, dtype);
  Tensor c({n, n}, dtype);
  Backend& cpu = backend(a);
  cpu.fill(a, 1.0F);
  cpu.fill(b, 1.0F);
  double best = 0;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    cpu.matmul(c, a, b, {});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * n * n * n / seconds.count());
  }
  return best;
}

}  // namespace weft
