// core/backend/cuda/runtime.cpp: copies wait for the device no more often than they must, and
// questions leave no error behind.
#include "core/backend/cuda/runtime.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "core/backend/cuda.hpp"
#include "core/backend/device_timer.hpp"
#include "core/backend/transfer.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"

namespace weft {
namespace {

constexpr Device kGpu{DeviceType::cuda, 0};

// Numbers that differ from one tensor to the next.
Tensor numbers(std::int64_t n, int first) {
  Tensor x(Shape{n}, DType::i32);
  for (std::int64_t i = 0; i < n; ++i)
    x.data<std::int32_t>()[i] = first + static_cast<std::int32_t>(i);
  return x;
}

void expect_numbers(const Tensor& x, int first) {
  for (std::int64_t i = 0; i < x.numel(); ++i)
    ASSERT_EQ(x.data<std::int32_t>()[i], first + i) << "element " << i;
}

TEST(CudaRuntime, ManySmallUploadsDoNotWait) {
  std::vector<Tensor> there;
  const long before = cuda_emulator::host_waits();
  for (int i = 0; i < 200; ++i) there.push_back(to_device(numbers(i, 1000 * i), kGpu));
  EXPECT_EQ(cuda_emulator::host_waits() - before, 0);
  const std::vector<Tensor> back = to_host(there);
  EXPECT_EQ(cuda_emulator::host_waits() - before, 1);
  for (int i = 0; i < 200; ++i) expect_numbers(back[static_cast<std::size_t>(i)], 1000 * i);
}

// More than all pinned memory, in pieces that do not divide it.
TEST(CudaRuntime, UploadsWaitBeforeTheyWriteOverWhatIsStillToBeCopied) {
  constexpr std::int64_t kLength = 100'003;
  constexpr int kTensors = 60;
  std::vector<Tensor> there;
  const long before = cuda_emulator::host_waits();
  for (int i = 0; i < kTensors; ++i) there.push_back(to_device(numbers(kLength, 7 * i), kGpu));
  EXPECT_GT(cuda_emulator::host_waits() - before, 0);
  for (std::size_t i = 0; i < kTensors; ++i)
    expect_numbers(to_host(there[i]), 7 * static_cast<int>(i));
}

TEST(CudaRuntime, MarksAreTimedWithOneWait) {
  const auto timer = cuda_timer(0);
  EXPECT_TRUE(timer->seconds_between().empty());
  for (const std::size_t calls : {3, 1}) {
    Tensor x({1000}, DType::f32, kGpu);
    const long before = cuda_emulator::host_waits();
    timer->mark();
    for (std::size_t i = 0; i < calls; ++i) {
      backend(x).fill(x, 1);
      timer->mark();
    }
    EXPECT_EQ(cuda_emulator::host_waits() - before, 0);
    const std::vector<double> seconds = timer->seconds_between();
    EXPECT_EQ(cuda_emulator::host_waits() - before, 1);
    ASSERT_EQ(seconds.size(), calls);
    for (const double s : seconds) EXPECT_GT(s, 0);
  }
}

TEST(CudaRuntime, AskingForAnEventLeavesNoError) {
  const Tensor there = to_device(numbers(100, 0), kGpu);
  CudaEvent copied;
  copied.record(CudaRuntime::of(0).stream());
  EXPECT_FALSE(copied.done());
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  copied.wait();
  EXPECT_TRUE(copied.done());
}

// Memory of one GPU is asked for and given back while the thread works with the other.
TEST(CudaRuntime, WhoeverChoosesAGpuTellsTheNext) {
  if (cuda_device_count() < 2) GTEST_SKIP() << "WEFT_EMULATED_GPUS is less than 2";
  CudaAllocator& other = CudaRuntime::of(1).allocator();
  const Tensor x = numbers(100, 5);
  expect_numbers(to_host(to_device(x, kGpu)), 5);
  void* const p = other.allocate(1 << 20);
  expect_numbers(to_host(to_device(x, kGpu)), 5);
  other.deallocate(p, 1 << 20);
  other.release_cached();
  expect_numbers(to_host(to_device(x, kGpu)), 5);
}

}  // namespace
}  // namespace weft
