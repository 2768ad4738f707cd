// What the makers of GPUs say of their speed: what measured rates are compared with.
#pragma once

#include <optional>
#include <string_view>

#include "core/tensor/dtype.hpp"

namespace weft {

// Dense products, by tensor cores where the format has them: multiply-adds times two per second.
struct GpuPeaks {
  double half = 0;   // bf16 and fp16, summed in fp32
  double tf32 = 0;   // fp32 rounded to TF32
  double f32 = 0;    // fp32 as it is
  double bytes = 0;  // of the device's memory, per second

  double flops(DType dtype) const { return dtype == DType::f32 ? f32 : half; }
};

// By the name that the driver gives, all of it: a slice of a GPU (MIG), a laptop's GPU or a variant
// that the table does not have is not the GPU whose name it begins with. Nothing for those.
std::optional<GpuPeaks> gpu_peaks(std::string_view name);

}  // namespace weft
