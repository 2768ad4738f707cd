// The highest rate of matrix products.
#include "launch/training/peak.hpp"

#include "core/backend/cpu_peaks.hpp"
#include "core/backend/cuda.hpp"
#include "core/backend/gpu_peaks.hpp"
#include "launch/doctor/rates.hpp"

namespace weft {

double peak_flops(DType dtype, Device device, bool tf32) {
  if (device.type == DeviceType::cpu) return cpu_peak_flops(dtype);
  const auto gpu = cuda_report().gpus.at(static_cast<std::size_t>(device.index));
  const auto peaks = gpu_peaks(gpu.name);
  if (!peaks) return matmul_rate(dtype, device).value;
  return dtype == DType::f32 && tf32 ? peaks->tf32 : peaks->flops(dtype);
}

}  // namespace weft
