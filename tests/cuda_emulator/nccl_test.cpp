// The emulator's NCCL: what it refuses, as NCCL does, and what its communicator makes of the faults
// that only an emulated network has.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <nccl.h>

#include "core/backend/cuda/runtime.hpp"
#include "parallel/nccl_order.hpp"
#include "tests/cuda_emulator/nccl_faults.hpp"
#include "tests/parallel/parallel_helpers.hpp"

namespace weft {
namespace {

// Long enough for all ranks to be late by as much on a busy machine.
const NcclOptions kShort{.timeout = std::chrono::milliseconds(1500)};

class EmulatedNccl : public testing::Test {
 protected:
  void SetUp() override {
    if (host->size() == 1) GTEST_SKIP() << "needs two ranks";
    if (!a_gpu_for_each_rank(*host)) GTEST_SKIP() << "needs a GPU for each rank";
  }
  bool first() const { return host->rank() == 0; }

  std::unique_ptr<Communicator> host = mpi_communicator();
};

std::string message_of_wait(Communicator& c, Tensor& x) {
  to_host(x);
  try {
    c.all_reduce(x, ReduceOp::sum);
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST_F(EmulatedNccl, AnOperationThatHangsOnOneRankEndsOnAll) {
  const auto c = nccl_communicator(host->duplicate(), test_device(), kShort);
  Tensor x = make_random({6}, 1);
  host->barrier();
  if (first()) cuda_emulator::plant_nccl_fault(cuda_emulator::NcclFault::hang);
  c->all_reduce(x, ReduceOp::sum);
  const std::string message = message_of_wait(*c, x);
  EXPECT_NE(message.find("all_reduce of f32 [6] (operation 1 of its group)"), std::string::npos);
  EXPECT_NE(message.find("has not ended within 1.5 s"), std::string::npos) << message;
  // All wait for it, and say so.
  EXPECT_EQ(message.find("nothing was heard"), std::string::npos) << message;
  host->barrier();
}

TEST_F(EmulatedNccl, AnAsynchronousErrorIsThrownWithTheOperation) {
  const auto c = nccl_communicator(host->duplicate(), test_device());
  Tensor x = make_random({6}, 1);
  c->all_reduce(x, ReduceOp::sum);
  to_host(x);
  cuda_emulator::plant_nccl_fault(cuda_emulator::NcclFault::remote_error);
  std::string message;
  try {
    c->all_reduce(x, ReduceOp::sum);
    message = message_of_wait(*c, x);
  } catch (const Error& e) {
    message = e.what();
  }
  const std::string want = "all_reduce of f32 [6] (operation 2 of its group) failed on rank " +
                           std::to_string(c->rank()) + " of " + std::to_string(c->size()) +
                           ": NCCL: remote process exited or there was a network error";
  EXPECT_EQ(message.rfind(want, 0), 0U) << message;
  host->barrier();
}

TEST_F(EmulatedNccl, RanksInDifferentOperationsAreNamed) {
  const auto c = nccl_communicator(host->duplicate(), test_device(), kShort);
  Tensor x = make_random({6}, 1);
  Tensor all = make_empty({host->size(), 6});
  c->all_reduce(x, ReduceOp::sum);  // later ones need no new connections
  c->all_gather(all, x);
  to_host(all);
  host->barrier();
  if (first()) {
    c->all_reduce(x, ReduceOp::sum);
  } else {
    c->all_gather(all, x);
  }
  const std::string message = message_of_wait(*c, x);
  const std::string other = first() ? "; rank 1 waits for all_gather of f32 [6] (operation 3"
                                    : "; rank 0 waits for all_reduce of f32 [6] (operation 3";
  EXPECT_NE(message.find(other), std::string::npos) << message;
  host->barrier();
}

// A graph holds what was captured; time-outs are not for it, as it does not run yet.
TEST_F(EmulatedNccl, OperationsAreCapturedIntoAGraph) {
  const auto c = nccl_communicator(host->duplicate(), test_device());
  const auto reducer = c->background_reducer(test_device());
  Tensor x = to_tensor({1, 2}, {2});
  Tensor y = to_tensor({1, 3}, {2});
  cudaStream_t stream = CudaRuntime::of(test_device().index).stream();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capturing");
  c->all_reduce(x, ReduceOp::sum);
  backend(y).add(y, y, x);
  reducer->all_reduce(y);
  reducer->wait();
  check_cuda(cudaStreamEndCapture(stream, &graph), "capturing");
  check_cuda(cudaGraphInstantiate(&exec, graph), "making a graph");
  const auto n = static_cast<float>(host->size());
  float want_x = 1, want_y = 1;
  for (int replay = 0; replay < 3; ++replay) {
    check_cuda(cudaGraphLaunch(exec, stream), "launching a graph");
    want_x *= n;
    want_y = n * (want_y + want_x);
    EXPECT_EQ(to_vector(x)[0], want_x);
    EXPECT_EQ(to_vector(y)[0], want_y);
  }
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
}

// The reducer's stream is joined to the capture again by the operation that follows on the other
// stream, and by nothing else.
TEST_F(EmulatedNccl, OperationsOfTwoGroupsFollowEachOther) {
  const auto c = nccl_communicator(host->duplicate(), test_device());
  const auto part = c->split(0, c->rank());
  const auto reducer = part->background_reducer(test_device());
  Tensor x = to_tensor({1, 2}, {2});
  Tensor y = to_tensor({1, 3}, {2});
  const auto graph = test_backend().capture([&] {
    reducer->all_reduce(y);
    c->all_reduce(x, ReduceOp::sum);
  });
  graph->replay();
  const auto n = static_cast<float>(host->size());
  EXPECT_EQ(to_vector(x), (std::vector<float>{n, 2 * n}));
  EXPECT_EQ(to_vector(y), (std::vector<float>{n, 3 * n}));
  reducer->wait();
}

// Whether what is issued for one stream follows what `order` saw before on another. Work of a
// stream that nobody waits for stays undone here.
bool orders(NcclOrder& order) {
  const CudaStream a, b;
  bool done = false;
  order.before(a.get());
  cudaLaunchHostFunc(
      a.get(), [](void* p) { *static_cast<bool*>(p) = true; }, &done);
  order.after(a.get());
  order.before(b.get());
  cudaStreamSynchronize(b.get());
  const bool followed = done;
  cudaStreamSynchronize(a.get());
  return followed;
}

TEST_F(EmulatedNccl, OrdersOperationsWhereNcclDoesNot) {
  constexpr const char* kVersion = "CUDA_EMULATOR_NCCL_VERSION";
  constexpr const char* kVariable = "NCCL_LAUNCH_ORDER_IMPLICIT";
  backend(test_device());
  const auto with = [&](const char* version, const char* variable) {
    setenv(kVersion, version, 1);
    unsetenv(kVariable);
    if (variable != nullptr) setenv(kVariable, variable, 1);
    NcclOrder order;
    return orders(order);
  };
  EXPECT_TRUE(with("22508", nullptr));
  EXPECT_EQ(std::getenv(kVariable), nullptr);
  EXPECT_FALSE(with("22602", nullptr));
  EXPECT_STREQ(std::getenv(kVariable), "1");
  EXPECT_TRUE(with("22809", "0"));
  EXPECT_STREQ(std::getenv(kVariable), "0");
  unsetenv(kVersion);
  unsetenv(kVariable);
}

// ---- the interface itself -----------------------------------------------------------------------

class NcclInterface : public EmulatedNccl {
 protected:
  void SetUp() override {
    EmulatedNccl::SetUp();
    if (IsSkipped()) return;
    backend(test_device());  // the current device
    start();
    ASSERT_EQ(settled(), ncclSuccess);
  }
  // Connects all ranks, each with its current device.
  void start() {
    ncclUniqueId id{};
    if (first()) ncclGetUniqueId(&id);
    const std::string sent = host->broadcast(std::string(id.internal, sizeof id.internal), 0);
    std::memcpy(id.internal, sent.data(), sent.size());
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ASSERT_EQ(ncclCommInitRankConfig(&comm, host->size(), id, host->rank(), &config),
              ncclInProgress);
  }
  ncclResult_t settled() const {
    ncclResult_t state = ncclInProgress;
    while (state == ncclInProgress) {
      EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
      std::this_thread::yield();
    }
    return state;
  }
  void TearDown() override {
    if (comm != nullptr) ncclCommAbort(comm);
    host->barrier();
  }

  ncclComm_t comm = nullptr;
  CudaStream stream;
};

TEST_F(NcclInterface, NothingHappensBeforeTheStateIsAsked) {
  const Tensor x = to_tensor({1, 2, 3}, {3});
  to_host(x);
  const auto reduce = [&] {
    return ncclAllReduce(x.raw(), x.raw(), 3, ncclFloat32, ncclSum, comm, stream.get());
  };
  EXPECT_EQ(reduce(), ncclInProgress);
  EXPECT_EQ(reduce(), ncclInvalidArgument);  // before the first is settled
  EXPECT_EQ(cudaStreamQuery(stream.get()), cudaSuccess);
  EXPECT_EQ(settled(), ncclSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  const auto n = static_cast<float>(host->size());
  EXPECT_EQ(to_vector(x), (std::vector<float>{n, 2 * n, 3 * n}));
}

TEST_F(NcclInterface, AFirstCallIsInProgressUntilAllRanksMakeIt) {
  const Tensor x = to_tensor({1}, {1});
  to_host(x);
  const auto reduce = [&] {
    return ncclAllReduce(x.raw(), x.raw(), 1, ncclFloat32, ncclSum, comm, stream.get());
  };
  ncclResult_t state = ncclSuccess;
  if (first()) {
    EXPECT_EQ(reduce(), ncclInProgress);
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
      EXPECT_EQ(state, ncclInProgress);
    }
  }
  host->barrier();
  if (!first()) {
    EXPECT_EQ(reduce(), ncclInProgress);
  }
  EXPECT_EQ(settled(), ncclSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  // Not so the second: only its work in the stream waits.
  if (first()) {
    EXPECT_EQ(reduce(), ncclInProgress);
    EXPECT_EQ(settled(), ncclSuccess);
  }
  host->barrier();
  if (!first()) {
    EXPECT_EQ(reduce(), ncclInProgress);
    EXPECT_EQ(settled(), ncclSuccess);
  }
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  const auto n = static_cast<float>(host->size());
  EXPECT_EQ(to_vector(x)[0], n * n);
}

TEST_F(NcclInterface, AGroupLetsRanksExchange) {
  const int next = (host->rank() + 1) % host->size();
  const int previous = (host->rank() + host->size() - 1) % host->size();
  const Tensor mine = to_tensor({static_cast<float>(host->rank()), 7}, {2});
  const Tensor other = make_empty({2});
  to_host(mine);
  // One after the other, every rank would send first and wait for one that sends.
  ncclGroupStart();
  EXPECT_EQ(ncclSend(mine.raw(), 2, ncclFloat32, next, comm, stream.get()), ncclSuccess);
  EXPECT_EQ(ncclRecv(other.raw(), 2, ncclFloat32, previous, comm, stream.get()), ncclSuccess);
  EXPECT_EQ(ncclGroupEnd(), ncclInProgress);
  EXPECT_EQ(settled(), ncclSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(to_vector(other), (std::vector<float>{static_cast<float>(previous), 7}));
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);
}

TEST_F(NcclInterface, AnAbortWaitsForGraphsThatCapturedOperations) {
  const Tensor x = to_tensor({1}, {1});
  to_host(x);
  cudaGraph_t graph = nullptr;
  cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeRelaxed);
  ncclAllReduce(x.raw(), x.raw(), 1, ncclFloat32, ncclSum, comm, stream.get());
  EXPECT_EQ(settled(), ncclSuccess);
  EXPECT_EQ(cudaStreamEndCapture(stream.get(), &graph), cudaSuccess);
  std::atomic<bool> ended = false;
  std::thread abort([&] {
    ncclCommAbort(std::exchange(comm, nullptr));
    ended = true;
  });
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_FALSE(ended);
  }
  cudaGraphDestroy(graph);
  abort.join();
}

TEST_F(NcclInterface, AnAbortWaitsForOtherCommunicatorsOnTheDevice) {
  ncclComm_t other = std::exchange(comm, nullptr);
  start();
  ASSERT_EQ(settled(), ncclSuccess);
  const Tensor x = to_tensor({1}, {1});
  to_host(x);
  cuda_emulator::plant_nccl_fault(cuda_emulator::NcclFault::hang);
  ncclAllReduce(x.raw(), x.raw(), 1, ncclFloat32, ncclSum, comm, stream.get());
  EXPECT_EQ(settled(), ncclSuccess);
  std::atomic<bool> ended = false;
  std::thread abort([&] {
    ncclCommAbort(other);
    ended = true;
  });
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_FALSE(ended);
  }
  ncclCommAbort(std::exchange(comm, nullptr));
  abort.join();
}

TEST_F(NcclInterface, RefusesWrongArguments) {
  const Tensor x = make_empty({3});
  const Tensor on_host({3}, DType::f32);
  EXPECT_EQ(ncclAllReduce(on_host.raw(), x.raw(), 3, ncclFloat32, ncclSum, comm, stream.get()),
            ncclInvalidArgument);
  EXPECT_EQ(ncclAllReduce(x.raw(), x.raw(), 4096, ncclFloat32, ncclSum, comm, stream.get()),
            ncclInvalidArgument);
  EXPECT_EQ(ncclBroadcast(x.raw(), x.raw(), 3, ncclFloat32, host->size(), comm, stream.get()),
            ncclInvalidArgument);
  EXPECT_EQ(ncclAllReduce(x.raw(), x.raw(), 3, ncclNumTypes, ncclSum, comm, stream.get()),
            ncclInvalidArgument);
}

TEST_F(NcclInterface, RefusesTwoRanksOnOneGpu) {
  ncclCommAbort(std::exchange(comm, nullptr));
  backend(Device{DeviceType::cuda, 0});
  start();
  EXPECT_EQ(settled(), ncclInvalidUsage);
  EXPECT_NE(std::string(ncclGetLastError(comm)).find("Duplicate GPU"), std::string::npos);
}

}  // namespace
}  // namespace weft
