// A GPU's peaks are found by its whole name, or not at all.
#include "core/backend/gpu_peaks.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(GpuPeaksOnCpu, AreThoseOfTheModel) {
  const auto h200 = gpu_peaks("NVIDIA H200");
  ASSERT_TRUE(h200);
  EXPECT_DOUBLE_EQ(h200->flops(DType::bf16), 989.4e12);
  EXPECT_DOUBLE_EQ(h200->flops(DType::f16), 989.4e12);
  EXPECT_DOUBLE_EQ(h200->flops(DType::f32), 66.9e12);
  EXPECT_DOUBLE_EQ(h200->bytes, 4.8e12);
  const auto nvl = gpu_peaks("NVIDIA H200 NVL");
  ASSERT_TRUE(nvl);
  EXPECT_LT(nvl->half, h200->half);
}

TEST(GpuPeaksOnCpu, AreNotGuessed) {
  for (const char* const name :
       {"", "NVIDIA", "NVIDIA A10G", "NVIDIA A1000", "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 3090 Ti", "Tesla V100-SXM2-32GB"})
    EXPECT_FALSE(gpu_peaks(name)) << name;
}

}  // namespace
}  // namespace weft
