// Streams run late, so that a missing order shows; copies know their direction; graphs replay.
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/cuda_emulator/gpu_buffer.hpp"
#include "tests/cuda_emulator/planted_faults.hpp"

namespace cuda_emulator {
namespace {

class Stream {
 public:
  Stream() { EXPECT_EQ(cudaStreamCreateWithFlags(&s_, cudaStreamNonBlocking), cudaSuccess); }
  ~Stream() { cudaStreamDestroy(s_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return s_; }

 private:
  cudaStream_t s_ = nullptr;
};

class Event {
 public:
  Event() { EXPECT_EQ(cudaEventCreateWithFlags(&e_, cudaEventDisableTiming), cudaSuccess); }
  ~Event() { cudaEventDestroy(e_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return e_; }

 private:
  cudaEvent_t e_ = nullptr;
};

struct Pinned {
  explicit Pinned(std::size_t n) { EXPECT_EQ(cudaMallocHost(&p, n * sizeof(float)), cudaSuccess); }
  ~Pinned() { cudaFreeHost(p); }
  float* p = nullptr;
};

// Adds one in one stream, copies the result to the host in another.
float through_two_streams(bool ordered) {
  const GpuBuffer<float> x(std::vector<float>{1});
  const Pinned host(1);
  const Stream compute, copy;
  const Event done;
  run_add_one(x.data(), 1, compute);
  if (ordered) {
    EXPECT_EQ(cudaEventRecord(done, compute), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(copy, done), cudaSuccess);
  }
  EXPECT_EQ(cudaMemcpyAsync(host.p, x.data(), sizeof(float), cudaMemcpyDeviceToHost, copy),
            cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(copy), cudaSuccess);
  return *host.p;
}

TEST(EmulatedStreams, WaitForTheEventsOfOthers) { EXPECT_EQ(through_two_streams(true), 2); }

TEST(EmulatedStreams, AMissingWaitShowsStaleData) { EXPECT_EQ(through_two_streams(false), 1); }

TEST(EmulatedStreams, AMissingSynchronisationShowsStaleData) {
  const GpuBuffer<float> x(std::vector<float>{1});
  const Pinned host(1);
  const Stream stream;
  *host.p = 7;
  cudaMemcpyAsync(host.p, x.data(), sizeof(float), cudaMemcpyDeviceToHost, stream);
  EXPECT_EQ(*host.p, 7);
  cudaStreamSynchronize(stream);
  EXPECT_EQ(*host.p, 1);
}

TEST(EmulatedStreams, PinnedMemoryReusedTooEarlyShows) {
  const GpuBuffer<float> x(1);
  const Pinned host(1);
  const Stream stream;
  *host.p = 1;
  cudaMemcpyAsync(x.data(), host.p, sizeof(float), cudaMemcpyHostToDevice, stream);
  *host.p = 2;  // without waiting for the copy
  EXPECT_EQ(x.values(), std::vector<float>{2});
}

TEST(EmulatedStreams, PageableMemoryIsStagedAtTheCall) {
  const GpuBuffer<float> x(1);
  const Stream stream;
  float host = 1;
  cudaMemcpyAsync(x.data(), &host, sizeof(float), cudaMemcpyHostToDevice, stream);
  host = 2;
  EXPECT_EQ(x.values(), std::vector<float>{1});
}

TEST(EmulatedStreams, QueriesAreNotReadyBeforeTheyAre) {
  const GpuBuffer<float> x(std::vector<float>{1});
  const Stream stream;
  const Event done;
  EXPECT_EQ(cudaEventQuery(done), cudaSuccess);
  run_add_one(x.data(), 1, stream);
  cudaEventRecord(done, stream);
  EXPECT_EQ(cudaEventQuery(done), cudaErrorNotReady);
  while (cudaEventQuery(done) == cudaErrorNotReady) {
  }
  EXPECT_EQ(cudaGetLastError(), cudaErrorNotReady);  // kept, although no call has failed
  EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);
}

TEST(EmulatedStreams, TheLegacyStreamWaitsForBlockingOnes) {
  const GpuBuffer<float> x(std::vector<float>{1});
  cudaStream_t blocking = nullptr;
  cudaStreamCreate(&blocking);
  run_add_one(x.data(), 1, blocking);
  float got = 0;
  cudaMemcpy(&got, x.data(), sizeof got, cudaMemcpyDeviceToHost);
  EXPECT_EQ(got, 2);
  cudaStreamDestroy(blocking);
}

TEST(EmulatedStreams, SeveralHostThreads) {
  constexpr int kThreads = 4, kRounds = 50;
  const GpuBuffer<float> x(std::vector<float>(kThreads, 0));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&x, t] {
      const Stream stream;
      for (int i = 0; i < kRounds; ++i) {
        run_add_one(x.data() + t, 1, stream);
        if (i % 8 == 0) cudaStreamSynchronize(stream);
      }
      cudaStreamSynchronize(stream);
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(x.values(), std::vector<float>(kThreads, kRounds));
}

TEST(EmulatedMemory, CopiesKnowTheirDirection) {
  const GpuBuffer<float> x(4), y(4);
  std::vector<float> host(4);
  const auto copy = [](void* to, const void* from, cudaMemcpyKind kind) {
    const cudaError_t now = cudaMemcpy(to, from, 16, kind);
    const cudaError_t later = cudaMemcpyAsync(to, from, 16, kind);
    EXPECT_EQ(now, later);
    cudaGetLastError();
    return now;
  };
  EXPECT_EQ(copy(x.data(), host.data(), cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(copy(host.data(), x.data(), cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(copy(y.data(), x.data(), cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(copy(y.data(), host.data(), cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(copy(x.data(), host.data(), cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host.data(), x.data(), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(x.data(), host.data(), cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(x.data() + 1, host.data(), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host.data(), 0, 16), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(EmulatedMemory, IsLimited) {
  std::size_t available = 0, total = 0;
  cudaMemGetInfo(&available, &total);
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, available + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(p, nullptr);
  EXPECT_EQ(cudaMalloc(&p, available / 2), cudaSuccess);
  void* q = nullptr;
  EXPECT_EQ(cudaMalloc(&q, available - available / 2 + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaFree(p), cudaErrorInvalidValue);
  cudaGetLastError();
}

// Captures x += 1 in `stream` and, beside it, y += 1 in another stream that is joined or not.
cudaGraph_t capture(cudaStream_t stream, float* x, float* y, bool joined, cudaError_t* result) {
  const Stream other;
  const Event fork, join;
  EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  cudaEventRecord(fork, stream);
  cudaStreamWaitEvent(other, fork);
  run_add_one(x, 1, stream);
  run_add_one(y, 1, other);
  if (joined) {
    cudaEventRecord(join, other);
    cudaStreamWaitEvent(stream, join);
  }
  cudaGraph_t graph = nullptr;
  *result = cudaStreamEndCapture(stream, &graph);
  cudaGetLastError();
  return graph;
}

TEST(EmulatedGraphs, ReplayWhatWasCaptured) {
  const GpuBuffer<float> x(std::vector<float>{0}), y(std::vector<float>{0});
  const Stream stream;
  cudaError_t result;
  cudaGraph_t graph = capture(stream, x.data(), y.data(), true, &result);
  ASSERT_EQ(result, cudaSuccess);
  std::size_t nodes = 0;
  cudaGraphGetNodes(graph, nullptr, &nodes);
  EXPECT_EQ(nodes, 2U);
  EXPECT_EQ(x.values(), std::vector<float>{0});
  cudaGraphExec_t exec = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
  EXPECT_EQ(x.values(), std::vector<float>{3});
  EXPECT_EQ(y.values(), std::vector<float>{3});
  cudaGraphExecUpdateResultInfo info;
  EXPECT_EQ(cudaGraphExecUpdate(exec, graph, &info), cudaSuccess);
  cudaGraph_t shorter = nullptr;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  run_add_one(x.data(), 1, stream);
  EXPECT_EQ(cudaStreamEndCapture(stream, &shorter), cudaSuccess);
  EXPECT_EQ(cudaGraphExecUpdate(exec, shorter, &info), cudaErrorGraphExecUpdateFailure);
  cudaGetLastError();
  cudaGraphDestroy(shorter);
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
}

TEST(EmulatedGraphs, AForkMustBeJoined) {
  const GpuBuffer<float> x(std::vector<float>{0}), y(std::vector<float>{0});
  const Stream stream;
  cudaError_t result;
  EXPECT_EQ(capture(stream, x.data(), y.data(), false, &result), nullptr);
  EXPECT_EQ(result, cudaErrorStreamCaptureUnjoined);
}

TEST(EmulatedGraphs, WhatCannotBeCaptured) {
  const GpuBuffer<float> x(std::vector<float>{0});
  const Stream stream;
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, 16), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  cudaGetLastError();
}

}  // namespace
}  // namespace cuda_emulator
