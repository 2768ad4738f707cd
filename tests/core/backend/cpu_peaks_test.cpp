// The ceilings of the CPU: what is there is measured, what is not is said to be 0.
#include "core/backend/cpu_peaks.hpp"

#include <string>

#include <gtest/gtest.h>

#include "core/base/files.hpp"

namespace weft {
namespace {

TEST(CpuPeaks, AreThereWhereTheInstructionsAre) {
  EXPECT_GT(measure(CpuPeak::fma), 0);
  EXPECT_EQ(measure(CpuPeak::bf16_dot) > 0, __builtin_cpu_supports("avx512bf16") != 0);
  // A system may keep AMX's tiles from a CPU that has them.
  const std::string flags = read_file("/proc/cpuinfo");
  const bool has_amx = flags.find(" amx_bf16") != std::string::npos;
  const double amx = measure(CpuPeak::amx), from_l2 = measure(CpuPeak::amx_from_l2);
  EXPECT_TRUE(has_amx || (amx == 0 && from_l2 == 0));
  EXPECT_EQ(amx > 0, from_l2 > 0);
}

TEST(CpuPeaks, AreMeasuredOnce) {
  EXPECT_EQ(cpu_peak_flops(DType::f32), cpu_peak_flops(DType::f32));
  EXPECT_GT(cpu_peak_bytes(), 0);
  EXPECT_EQ(cpu_peak_bytes(), cpu_peak_bytes());
}

TEST(CpuPeaks, Bf16IsNoSlowerThanWhatItCanBeWidenedTo) {
  EXPECT_GE(cpu_peak_flops(DType::bf16), cpu_peak_flops(DType::f32));
}

}  // namespace
}  // namespace weft
