// The figures of NVIDIA's data sheets and architecture white papers. Where a sheet gives a rate
// with sparsity alone, half of it stands here.
#include "core/backend/gpu_peaks.hpp"

namespace weft {

namespace {

struct Row {
  std::string_view name;
  double half, tf32, f32;  // TFLOP/s
  double memory;           // GB/s
};

constexpr Row kTable[] = {
    // "NVIDIA A100 Tensor Core GPU" data sheet; the memory of the 40 GB cards: "NVIDIA A100 Tensor
    // Core GPU Architecture" white paper.
    {"NVIDIA A100-SXM4-40GB", 312, 156, 19.5, 1555},
    {"NVIDIA A100-SXM4-80GB", 312, 156, 19.5, 2039},
    {"NVIDIA A100-PCIE-40GB", 312, 156, 19.5, 1555},
    {"NVIDIA A100 80GB PCIe", 312, 156, 19.5, 1935},
    // "NVIDIA H100 Tensor Core GPU Architecture" white paper, tables of SXM5 and PCIe (rates to a
    // decimal, which the data sheet rounds); NVL: "NVIDIA H100 Tensor Core GPU" data sheet.
    {"NVIDIA H100 80GB HBM3", 989.4, 494.7, 66.9, 3352},
    {"NVIDIA H100 PCIe", 756, 378, 51.2, 2039},
    {"NVIDIA H100 NVL", 835.5, 417.5, 60, 3900},
    // "NVIDIA H200 Tensor Core GPU" data sheet. The SXM module's chip is the H100 SXM's, whose
    // white paper gives the rates to a decimal.
    {"NVIDIA H200", 989.4, 494.7, 66.9, 4800},
    {"NVIDIA H200 NVL", 835.5, 417.5, 60, 4800},
    // "NVIDIA Blackwell" data sheet, HGX B200: the totals of eight over eight, as a single GPU's
    // TF32 rate is rounded there; memory: that of a single GPU.
    {"NVIDIA B200", 2250, 1125, 75, 7700},
    // "NVIDIA L40S" data sheet.
    {"NVIDIA L40S", 362.05, 183, 91.6, 864},
    // "NVIDIA A10 Tensor Core GPU" data sheet.
    {"NVIDIA A10", 125, 62.5, 31.2, 600},
    // "NVIDIA Ada GPU Architecture" and "NVIDIA Ampere GA102 GPU Architecture" white papers, the
    // rates of tensor cores with fp32 sums: half of those with fp16 sums on these cards.
    {"NVIDIA GeForce RTX 4090", 165.2, 82.6, 82.6, 1008},
    {"NVIDIA GeForce RTX 3090", 71, 35.6, 35.6, 936},
};

}  // namespace

std::optional<GpuPeaks> gpu_peaks(std::string_view name) {
  for (const Row& row : kTable) {
    if (row.name == name) {
      return GpuPeaks{.half = row.half * 1e12,
                      .tf32 = row.tf32 * 1e12,
                      .f32 = row.f32 * 1e12,
                      .bytes = row.memory * 1e9};
    }
  }
  return std::nullopt;
}

}  // namespace weft
