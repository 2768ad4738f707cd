// Right kernels compute what they should on the emulator; wrong ones end with a message that says
// where and why.
#include <bit>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "core/backend/cuda/runtime.hpp"
#include "core/base/error.hpp"
#include "tests/cuda_emulator/gpu_buffer.hpp"
#include "tests/cuda_emulator/planted_faults.hpp"

namespace cuda_emulator {
namespace {

std::vector<float> ramp(std::size_t n) {
  std::vector<float> v(n);
  std::iota(v.begin(), v.end(), 1.F);
  return v;
}

TEST(EmulatedKernels, SumOverABlock) {
  const GpuBuffer<float> x(ramp(256)), y(256);
  run_block_sum(y.data(), x.data(), 256, true, nullptr);
  EXPECT_EQ(y.values(), std::vector<float>(256, 256 * 257 / 2));
}

TEST(EmulatedKernels, TransposeThroughDynamicSharedMemory) {
  const int rows = 37, columns = 21;
  const GpuBuffer<float> x(ramp(rows * columns)), y(rows * columns);
  run_transpose(y.data(), x.data(), rows, columns, true, nullptr);
  const std::vector<float> got = y.values(), want = x.values();
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) EXPECT_EQ(got[c * rows + r], want[r * columns + c]);
}

TEST(EmulatedKernels, WarpPrimitives) {
  const GpuBuffer<std::uint32_t> y(352);
  run_warp_primitives(y.data(), nullptr);
  const std::vector<std::uint32_t> got = y.values();
  unsigned thirds = 0;
  for (unsigned l = 0; l < 32; l += 3) thirds |= 1U << l;
  for (unsigned l = 0; l < 32; ++l) {
    EXPECT_EQ(got[l], 5U);
    EXPECT_EQ(got[32 + l], l / 8 * 8 + 1);
    EXPECT_EQ(got[64 + l], l ^ 3U);
    EXPECT_EQ(got[96 + l], l + 4 < 32 ? l + 4 : l);
    EXPECT_EQ(got[128 + l], l % 16 >= 4 ? l - 4 : l);
    EXPECT_EQ(got[160 + l], l ^ 1U);
    EXPECT_EQ(got[192 + l], thirds);
    EXPECT_EQ(got[224 + l], 1U);
    EXPECT_EQ(got[256 + l], 0U);
    EXPECT_EQ(got[288 + l], 10U);
    EXPECT_EQ(got[320 + l], l < 16 ? l ^ 8U : l ^ 1U);
  }
}

TEST(EmulatedKernels, Atomics) {
  const GpuBuffer<int> counts(std::vector<int>{0, 0, 1000});
  const GpuBuffer<float> sum(std::vector<float>{0});
  run_atomics(counts.data(), sum.data(), 96, 7, nullptr);
  EXPECT_EQ(counts.values(), (std::vector<int>{96 * 7, 95, 0}));
  EXPECT_EQ(sum.values(), std::vector<float>{48 * 7});
}

TEST(EmulatedKernels, TheLastBlockSeesWhatTheOthersFenced) {
  const GpuBuffer<float> x(ramp(9)), partial(9), y(1);
  const GpuBuffer<unsigned> count(std::vector<unsigned>{0});
  run_last_block(y.data(), partial.data(), count.data(), x.data(), 9, true, nullptr);
  EXPECT_EQ(y.values(), std::vector<float>{45});
}

TEST(EmulatedKernels, NeighboursAfterABarrierOfTheWarp) {
  const GpuBuffer<float> x(32);
  run_neighbours(x.data(), true, nullptr);
  EXPECT_EQ(x.values()[31], 0);
}

TEST(EmulatedKernels, MemoryBeginsAsNaN) {
  const GpuBuffer<float> x(3);
  for (const float e : x.values()) EXPECT_EQ(std::bit_cast<std::uint32_t>(e), 0xFFFFFFFFU);
}

TEST(EmulatedKernels, RefusesBadLaunches) {
  EXPECT_NO_THROW(run_nothing(3, 1024, 0, false, nullptr));
  EXPECT_THROW(run_nothing(0, 32, 0, false, nullptr), weft::Error);
  EXPECT_THROW(run_nothing({1, 65536}, 32, 0, false, nullptr), weft::Error);
  EXPECT_THROW(run_nothing(1, 1025, 0, false, nullptr), weft::Error);
  EXPECT_THROW(run_nothing(1, {32, 1, 65}, 0, false, nullptr), weft::Error);
  EXPECT_THROW(run_nothing(1, 32, (48 << 10) + 1, false, nullptr), weft::Error);
  EXPECT_THROW(run_nothing(1, 32, (227 << 10) + 1, true, nullptr), weft::Error);
  EXPECT_NO_THROW(run_nothing(1, 32, 227 << 10, true, nullptr));
}

// 257 floats are 1028 bytes, and the allocator's block has 1152.
constexpr std::int64_t kOdd = 257;
constexpr auto kOddBytes = static_cast<std::size_t>(kOdd) * sizeof(float);

// What work was issued for, not what the host has done since, tells whose a block is.
TEST(EmulatedKernels, ABlockThatIsLentAgainServesBothInTheirTurn) {
  weft::CudaRuntime& gpu = weft::CudaRuntime::of(0);
  void* const longer = gpu.allocator().allocate(kOddBytes + sizeof(float));
  run_add_one(static_cast<float*>(longer), kOdd + 1, gpu.stream());
  gpu.allocator().deallocate(longer, kOddBytes + sizeof(float));
  void* const shorter = gpu.allocator().allocate(kOddBytes);
  ASSERT_EQ(shorter, longer);
  run_add_one(static_cast<float*>(shorter), kOdd, gpu.stream());
  gpu.synchronize();
  gpu.allocator().deallocate(shorter, kOddBytes);
}

// What ends the program; the death tests run it in a process of its own.
class WrongKernels : public testing::Test {
 protected:
  WrongKernels() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  static void run(Fault fault) {
    const GpuBuffer<float> x(ramp(256));
    run_fault(fault, x.data(), 256, nullptr);
    cudaDeviceSynchronize();
  }

  // On a tensor of 257 floats; `freed` says when the host has freed it: before the kernel is
  // issued, or between that and its turn, when another tensor with a longer end has its block.
  static void run_on_tensor(Fault fault, bool freed) {
    weft::CudaRuntime& gpu = weft::CudaRuntime::of(0);
    auto* const x = static_cast<float*>(gpu.allocator().allocate(kOddBytes));
    if (freed) gpu.allocator().deallocate(x, kOddBytes);
    run_fault(fault, x, kOdd, gpu.stream());
    if (!freed) gpu.allocator().deallocate(x, kOddBytes);
    gpu.allocator().allocate(kOddBytes + sizeof(float));
    gpu.synchronize();
  }
};

// Under the address sanitizer the hooks of the emulator are not there, but its own are.
#if defined(__SANITIZE_ADDRESS__)
TEST_F(WrongKernels, IndexTooFar) {
  EXPECT_DEATH(run(Fault::index_too_far), "AddressSanitizer: use-after-poison");
  EXPECT_DEATH(run(Fault::dynamic_index_too_far), "AddressSanitizer: heap-buffer-overflow");
}

TEST_F(WrongKernels, PastATensor) {
  EXPECT_DEATH(run_on_tensor(Fault::index_too_far, false), "AddressSanitizer: use-after-poison");
  EXPECT_DEATH(run_on_tensor(Fault::index_before, true), "AddressSanitizer: use-after-poison");
}
#else
TEST_F(WrongKernels, DroppedBarrier) {
  const GpuBuffer<float> x(ramp(256)), y(256);
  EXPECT_DEATH(
      {
        run_block_sum(y.data(), x.data(), 256, false, nullptr);
        cudaDeviceSynchronize();
      },
      "in block_sum_kernel, block \\(0,0,0\\), thread .*shared memory.*planted_faults.cu:");
  EXPECT_DEATH(
      {
        run_transpose(y.data(), x.data(), 16, 16, false, nullptr);
        cudaDeviceSynchronize();
      },
      "in transpose_kernel, .*shared memory");
  EXPECT_DEATH(
      {
        run_neighbours(x.data(), false, nullptr);
        cudaDeviceSynchronize();
      },
      "in neighbours_kernel, .*shared memory");
}

TEST_F(WrongKernels, RaceInAFunctionThatTheKernelCalls) {
  EXPECT_DEATH(run(Fault::race_in_a_helper),
               "in fault_kernel, .*shared memory: .* at core/backend/cuda/device_math.cuh:[0-9]+, "
               "called at tests/cuda_emulator/planted_faults.cu:[0-9]+");
}

TEST_F(WrongKernels, MissingFence) {
  const GpuBuffer<float> x(ramp(9)), partial(9), y(1);
  const GpuBuffer<unsigned> count(std::vector<unsigned>{0});
  EXPECT_DEATH(
      {
        run_last_block(y.data(), partial.data(), count.data(), x.data(), 9, false, nullptr);
        cudaDeviceSynchronize();
      },
      "race on device memory: .*of block number");
}

TEST_F(WrongKernels, BlocksThatShareAnElement) {
  EXPECT_DEATH(run(Fault::same_element_twice), "in fault_kernel, .*race on device memory");
}

TEST_F(WrongKernels, IndexTooFar) {
  EXPECT_DEATH(run(Fault::index_too_far),
               "in fault_kernel, .*thread \\(31,0,0\\): accesses 4 bytes of device memory at byte "
               "1024 of an allocation of 1024 bytes .*planted_faults.cu:");
  EXPECT_DEATH(run(Fault::static_index_too_far), "index 32 is outside of the array at ");
  EXPECT_DEATH(run(Fault::dynamic_index_too_far), "thread \\(31,0,0\\): accesses 4 bytes of ");
}

TEST_F(WrongKernels, PastATensor) {
  EXPECT_DEATH(
      run_on_tensor(Fault::index_too_far, false),
      "in fault_kernel, block \\(0,0,0\\), thread \\(31,0,0\\): accesses 4 bytes of device "
      "memory at byte 1028 of a tensor of 1028 bytes .*planted_faults.cu:");
  EXPECT_DEATH(run_on_tensor(Fault::index_too_far_read, false),
               "thread \\(31,0,0\\): accesses .* byte 1028 of a tensor of 1028 bytes");
  EXPECT_DEATH(run_on_tensor(Fault::index_before, false),
               "thread \\(0,0,0\\): accesses .* at 4 bytes before a tensor of 1028 bytes");
  EXPECT_DEATH(run_on_tensor(Fault::same_element_twice, true),
               "accesses .* at byte [0-9]+ of a free block of 1152 bytes");
}

TEST_F(WrongKernels, CopyPastATensor) {
  EXPECT_DEATH(
      {
        weft::CudaRuntime& gpu = weft::CudaRuntime::of(0);
        void* const x = gpu.allocator().allocate(kOddBytes);
        cudaMemsetAsync(x, 0, kOddBytes + 1, gpu.stream());
        gpu.synchronize();
      },
      "a fill writes: 1029 bytes at byte 0 of a tensor of 1028 bytes");
}

TEST_F(WrongKernels, UninitialisedSharedMemory) {
  EXPECT_DEATH(run(Fault::uninitialised_shared), "reads shared memory that no thread .* written");
}

TEST_F(WrongKernels, MisalignedAccess) {
  EXPECT_DEATH(run(Fault::misaligned_load), "no multiple of 16 at .*planted_faults.cu:");
}

TEST_F(WrongKernels, HostMemory) {
  std::vector<float> x(32);
  EXPECT_DEATH(
      {
        run_fault(Fault::host_memory, x.data(), 32, nullptr);
        cudaDeviceSynchronize();
      },
      "accesses 4 bytes of host memory");
}

TEST_F(WrongKernels, TooMuchSharedMemory) {
  EXPECT_DEATH(run(Fault::too_much_static_shared), "uses 50176 bytes of static .*more than 49152");
}

TEST_F(WrongKernels, HostTouchesDeviceMemory) {
  const GpuBuffer<float> x(8);
  EXPECT_DEATH(x.data()[0] = 1, "host code touches device memory");
}
#endif

TEST_F(WrongKernels, DivergentBarrier) {
  EXPECT_DEATH(run(Fault::divergent_barrier),
               "waits for ever at the barrier .*; thread \\(32,0,0\\) has left the kernel");
  EXPECT_DEATH(run(Fault::different_barriers), "wait at different barriers");
}

TEST_F(WrongKernels, WarpPrimitivesWithoutAllTheirLanes) {
  EXPECT_DEATH(run(Fault::exited_lane), "names lane 3, which has left the kernel");
  EXPECT_DEATH(run(Fault::lane_outside_mask), "reads lane 20, which its mask does not name");
}

}  // namespace
}  // namespace cuda_emulator
