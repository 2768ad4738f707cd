// With a handler a fault ends the work that is at fault, and the devices are broken until they are
// repaired; nothing of it is left then.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/gpu_buffer.hpp"
#include "tests/cuda_emulator/planted_faults.hpp"

namespace cuda_emulator {
namespace {

std::vector<std::string> told;

class HandledFaults : public testing::Test {
 protected:
  HandledFaults() {
    told.clear();
    handle_faults([](const std::string& message) { told.push_back(message); });
  }
  ~HandledFaults() override {
    handle_faults(nullptr);
    repair_devices();
  }

  // One fault is told, what comes after it is not run, and then all is well.
  static void expect_one(Fault fault, const std::string& message) {
    told.clear();
    const GpuBuffer<float> x(256), ones(std::vector<float>(256, 1.F));
    run_fault(fault, x.data(), 256, nullptr);
    run_add_one(ones.data(), 256, nullptr);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaPeekAtLastError(), cudaErrorLaunchFailure);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_TRUE(told[0].starts_with("CUDA emulator: in ") && told[0].find(message) != told[0].npos)
        << told[0];
    repair_devices();
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(ones.values(), std::vector<float>(256, 1.F));
    const GpuBuffer<float> y(256);
    run_block_sum(y.data(), ones.data(), 256, true, nullptr);
    EXPECT_EQ(y.values(), std::vector<float>(256, 256.F));
    EXPECT_EQ(told.size(), 1U);
  }
};

TEST_F(HandledFaults, OfWhatSchedulesThreads) {
  expect_one(Fault::divergent_barrier, "waits for ever at the barrier");
  expect_one(Fault::exited_lane, "which has left the kernel");
  expect_one(Fault::lane_outside_mask, "reads lane 20");
}

#if !defined(__SANITIZE_ADDRESS__)  // whose own checks end the program
TEST_F(HandledFaults, OfThreadsThemselves) {
  expect_one(Fault::index_too_far, "at byte 1024 of an allocation of 1024 bytes");
  expect_one(Fault::static_index_too_far, "index 32 is outside of the array");
  expect_one(Fault::same_element_twice, "race on device memory");
  expect_one(Fault::misaligned_load, "no multiple of 16");
}
#endif

}  // namespace
}  // namespace cuda_emulator
