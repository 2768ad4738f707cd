// What NCCL's communicator does beyond the others: it does not make the host wait, finds out who
// is missing, and knows GPUs that ranks share.
#include "parallel/nccl_communicator.hpp"

#include <atomic>
#include <functional>

#include <gtest/gtest.h>

#include "parallel/mesh.hpp"
#include "tests/parallel/parallel_helpers.hpp"

namespace weft {
namespace {

TEST(NcclOnCpu, ABuildWithoutItSaysSo) {
  if (!nccl_version().empty()) GTEST_SKIP() << "this build has NCCL";
  EXPECT_THROW(nccl_communicator(mpi_communicator(), {DeviceType::cuda, 0}), Error);
}

class NcclTest : public testing::Test {
 protected:
  void SetUp() override {
    if (on_cpu()) GTEST_SKIP() << "needs GPUs";
    host = mpi_communicator();
    if (host->size() == 1) GTEST_SKIP() << "needs two ranks";
    if (!a_gpu_for_each_rank(*host)) GTEST_SKIP() << "needs a GPU for each rank";
  }
  bool last() const { return host->rank() == host->size() - 1; }
  std::unique_ptr<Communicator> connect(const NcclOptions& options = {}) const {
    return nccl_communicator(host->duplicate(), test_device(), options);
  }
  static std::string message_of(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& e) {
      return e.what();
    }
    return "nothing was thrown";
  }

  // A first call connects the ranks, for which all must make it; later ones do not wait.
  void make_first_call(Communicator& c, Tensor& x) const {
    c.all_reduce(x, ReduceOp::sum);
    to_host(x);
    host->barrier();
  }
  // The error of a rank that waits for `what`, when the last one does not come.
  std::string missing_last(const Communicator& c, const std::string& what) const {
    return what + " on rank " + std::to_string(c.rank()) + " of " + std::to_string(c.size()) +
           " has not ended within 1.5 s; nothing was heard of rank " + std::to_string(c.size() - 1);
  }

  std::unique_ptr<Communicator> host;  // of the test itself
};

// Long enough for ranks to be late by as much on a busy machine.
const NcclOptions kShort{.timeout = std::chrono::milliseconds(1500)};

TEST_F(NcclTest, TheHostDoesNotWaitForOtherRanks) {
  const auto c = connect();
  Tensor x = make_random({1000}, 1);
  make_first_call(*c, x);
  // The last rank takes part only after the first has issued its part and told so.
  if (last()) host->broadcast("go", 0);
  c->all_reduce(x, ReduceOp::sum);
  const auto reducer = c->background_reducer(test_device());
  reducer->all_reduce(x);
  reducer->wait();
  if (!last()) host->broadcast("go", 0);
  to_host(x);
}

TEST_F(NcclTest, AMissingRankIsNamedAndEveryLaterCallTellsIt) {
  const auto c = connect(kShort);
  const auto part = c->split(0, c->rank());
  Tensor x = make_random({3, 4}, 1);
  make_first_call(*c, x);
  if (!last()) {
    c->all_reduce(x, ReduceOp::sum);
    to_host(x);  // comes to an end although the sum does not
    const std::string want =
        missing_last(*c, "all_reduce of f32 [3, 4] (operation 2 of its group)");
    EXPECT_EQ(message_of([&] { c->rethrow_failure(); }), want);
    EXPECT_EQ(message_of([&] { c->all_reduce(x, ReduceOp::sum); }), want);
    EXPECT_EQ(message_of([&] { c->all_reduce(1.0, ReduceOp::sum); }), want);
    EXPECT_EQ(message_of([&] { part->broadcast(x, 0); }), want);
    EXPECT_EQ(message_of([&] { part->barrier(); }), want);
    EXPECT_EQ(message_of([&] { c->split(0, 0); }), want);
    EXPECT_EQ(message_of([&] { c->background_reducer(test_device())->wait(); }), want);
  }
  host->barrier();
}

// Here the call itself waits, as it connects the ranks, and has to give up.
TEST_F(NcclTest, ARankMissingFromTheFirstCallIsNamedToo) {
  const auto c = connect(kShort);
  Tensor x = make_random({3, 4}, 1);
  host->barrier();
  if (!last()) {
    const std::string want =
        missing_last(*c, "all_reduce of f32 [3, 4] (operation 1 of its group)");
    EXPECT_EQ(message_of([&] {
                c->all_reduce(x, ReduceOp::sum);
                to_host(x);
                c->rethrow_failure();
              }),
              want);
    EXPECT_EQ(message_of([&] { c->all_reduce(x, ReduceOp::sum); }), want);
  }
  host->barrier();
}

TEST_F(NcclTest, ARankMissingFromACapturedStepIsNamed) {
  const auto c = connect(kShort);
  Tensor x = make_random({3, 4}, 1);
  make_first_call(*c, x);
  const auto graph = test_backend().capture([&] { c->all_reduce(x, ReduceOp::sum); });
  graph->replay();
  c->watch_replay();
  to_host(x);
  EXPECT_NO_THROW(c->rethrow_failure());
  host->barrier();
  if (!last()) {
    graph->replay();
    c->watch_replay();
    to_host(x);
    EXPECT_EQ(message_of([&] { c->rethrow_failure(); }), missing_last(*c, "a captured step"));
  }
  host->barrier();
}

// A group that waits for nothing is stopped as well, which frees memory: that waits for all work of
// the GPU, and so for the group that hangs.
TEST_F(NcclTest, TheGroupThatHangsIsStoppedWhicheverItIs) {
  const auto c = connect(kShort);
  const auto part = c->split(0, c->rank());
  Tensor x = make_random({3, 4}, 1);
  make_first_call(*part, x);
  if (!last()) {
    part->all_reduce(x, ReduceOp::sum);
    to_host(x);
    EXPECT_EQ(message_of([&] { c->rethrow_failure(); }),
              missing_last(*c, "all_reduce of f32 [3, 4] (operation 2 of its group)"));
  }
  host->barrier();
}

// NCCL can be stopped only when the graph is gone, and the thread that meets the failure owns it.
TEST_F(NcclTest, ACallMayFailWhileAGraphIsAlive) {
  const auto c = connect(kShort);
  Tensor x = make_random({3, 4}, 1);
  Tensor all = make_empty({3 * host->size(), 4});
  make_first_call(*c, x);
  const auto graph = test_backend().capture([&] { c->all_reduce(x, ReduceOp::sum); });
  graph->replay();
  c->watch_replay();
  to_host(x);
  host->barrier();
  if (!last()) {
    const std::string want =
        missing_last(*c, "all_gather of f32 [3, 4] (operation 3 of its group)");
    EXPECT_EQ(message_of([&] {
                c->all_gather(all, x);  // the first of its kind: waits itself
                to_host(all);
                c->rethrow_failure();
              }),
              want);
    EXPECT_EQ(message_of([&] { c->watch_replay(); }), want);
  }
  host->barrier();
}

TEST_F(NcclTest, ARankMissingFromACapturedStepOfBothAxesIsNamed) {
  if (host->size() != 4) GTEST_SKIP() << "needs four ranks";
  const Mesh mesh(connect(kShort), 2, test_device());
  Tensor x = make_random({3, 4}, 1);
  Tensor y = make_random({5}, 2);
  make_first_call(mesh.tensor(), x);
  make_first_call(mesh.data(), y);
  const auto reducer = mesh.data().background_reducer(test_device());
  const auto graph = test_backend().capture([&] {
    reducer->all_reduce(y);
    mesh.tensor().all_reduce(x, ReduceOp::sum);
    reducer->wait();
  });
  const auto step = [&] {
    graph->replay();
    mesh.world().watch_replay();
    to_host(x);
  };
  step();
  EXPECT_NO_THROW(mesh.world().rethrow_failure());
  host->barrier();
  if (!last()) {
    step();
    const std::string want = missing_last(mesh.world(), "a captured step");
    EXPECT_EQ(message_of([&] { mesh.world().rethrow_failure(); }), want);
    EXPECT_EQ(message_of([&] { mesh.tensor().all_reduce(x, ReduceOp::sum); }), want);
  }
  host->barrier();
}

TEST_F(NcclTest, RanksExchangeInOneGroupOfCalls) {
  const auto c = connect();
  const int next = (c->rank() + 1) % c->size();
  const int previous = (c->rank() + c->size() - 1) % c->size();
  const Tensor mine = to_tensor({static_cast<float>(c->rank()), 7}, {2});
  Tensor other = make_empty({2});
  // One after the other, every rank would send first and wait for one that receives.
  c->grouped([&] {
    c->send(mine, next);
    c->receive(other, previous);
  });
  EXPECT_EQ(to_vector(other), (std::vector<float>{static_cast<float>(previous), 7}));
}

TEST_F(NcclTest, AFailureThatNobodyNoticesIsTold) {
  std::atomic<bool> told = false;
  NcclOptions options = kShort;
  options.on_unnoticed_failure = [&](const Error& e) {
    told = std::string(e.what()).find("has not ended") != std::string::npos;
    told.notify_all();
  };
  {
    const auto c = connect(options);
    Tensor x = make_random({2}, 1);
    make_first_call(*c, x);
    if (!last()) {
      c->all_reduce(x, ReduceOp::sum);
      told.wait(false);
    }
    host->barrier();
  }
  EXPECT_EQ(told, !last());
}

TEST_F(NcclTest, RanksThatShareAGpuGoThroughHostMemory) {
  const Device first{DeviceType::cuda, 0};
  int warnings = 0;
  NcclOptions options;
  options.on_shared_gpu = [&](const std::string& text) {
    ++warnings;
    EXPECT_EQ(text.rfind("ranks 0 and 1 share GPU ", 0), 0U) << text;
  };
  const auto c = nccl_communicator(mpi_communicator(), first, options);
  EXPECT_EQ(warnings, host->rank() == 0 ? 1 : 0);
  Tensor x({5}, DType::f32, first);
  backend(x).fill(x, 2);
  c->all_reduce(x, ReduceOp::sum);
  EXPECT_EQ(to_vector(x), std::vector<float>(5, 2.0F * static_cast<float>(c->size())));

  const std::string refused = message_of([&] { nccl_communicator(mpi_communicator(), first); });
  EXPECT_EQ(refused.rfind("ranks 0 and 1 share GPU ", 0), 0U) << refused;
}

TEST_F(NcclTest, RefusesTensorsOfAnotherGpu) {
  const auto c = connect();
  Tensor x({5}, DType::f32, {DeviceType::cuda, (test_device().index + 1) % cuda_device_count()});
  EXPECT_NE(message_of([&] { c->all_reduce(x, ReduceOp::sum); }).find("this communicator serves"),
            std::string::npos);
  c->barrier();  // nothing has failed
}

TEST_F(NcclTest, APartOfTheRanksConnectsByItself) {
  const auto half = host->split(host->rank() % 2, host->rank());
  const int members = half->size();
  const auto c = nccl_communicator(half->duplicate(), test_device());
  Tensor x = to_tensor({1}, {1});
  c->all_reduce(x, ReduceOp::sum);
  EXPECT_EQ(to_vector(x)[0], static_cast<float>(members));
}

}  // namespace
}  // namespace weft
