// The communication thread and its use by the buckets: order, errors, and how it ends.
#include "parallel/communication_thread.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "parallel/data_parallel.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

// What the ranks of a pretended group of two do, shared by all its communicators.
struct Script {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::int64_t> reduced;  // sizes, in order
  int fail_at = -1;                   // which reduction throws
  bool hold = false;                  // reductions wait until this is false
  bool left = false;                  // a held reduction has ended

  // Whether `count` reductions happen within ten seconds.
  bool reached(std::size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(10),
                            [&] { return reduced.size() >= count; });
  }
};

class PretendedPair final : public Communicator {
 public:
  explicit PretendedPair(Script& script) : script_(&script) {}
  int rank() const override { return 0; }
  int size() const override { return 2; }
  void all_reduce(Tensor& x, ReduceOp) override {
    std::unique_lock lock(script_->mutex);
    script_->reduced.push_back(x.numel());
    script_->changed.notify_all();
    if (static_cast<int>(script_->reduced.size()) - 1 == script_->fail_at)
      throw Error("the network is gone");
    script_->changed.wait(lock, [&] { return !script_->hold; });
    script_->left = true;
    script_->changed.notify_all();
  }
  void all_gather(Tensor&, const Tensor&) override {}
  void reduce_scatter(Tensor&, const Tensor&) override {}
  void broadcast(Tensor&, int) override {}
  void send(const Tensor&, int, int) override {}
  void receive(Tensor&, int, int) override {}
  void barrier() override {}
  double all_reduce(double x, ReduceOp) override { return x; }
  void all_reduce(std::span<std::int64_t>, ReduceOp) override {}
  std::string broadcast(const std::string& s, int) override { return s; }
  std::vector<std::string> roll_call(const std::string& word, std::chrono::milliseconds) override {
    return {word, ""};
  }
  std::unique_ptr<Communicator> split(int, int) const override {
    return std::make_unique<PretendedPair>(*script_);
  }

 private:
  Script* script_;
};

TEST(CommunicationThread, ReducesInTheOrderGiven) {
  Script script;
  CommunicationThread thread(std::make_unique<PretendedPair>(script));
  for (std::int64_t n = 1; n <= 50; ++n) thread.all_reduce(Tensor({n}, DType::f32));
  thread.wait();
  ASSERT_EQ(script.reduced.size(), 50U);
  for (std::size_t i = 0; i < 50; ++i)
    EXPECT_EQ(script.reduced[i], static_cast<std::int64_t>(i + 1));
  thread.wait();  // nothing to do
}

TEST(CommunicationThread, AnErrorSurfacesAndStopsEverythingAfterIt) {
  Script script;
  script.fail_at = 2;
  CommunicationThread thread(std::make_unique<PretendedPair>(script));
  for (std::int64_t n = 1; n <= 5; ++n) thread.all_reduce(Tensor({n}, DType::f32));
  for (int again = 0; again < 2; ++again) {
    try {
      thread.wait();
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), "the network is gone");
    }
  }
  thread.all_reduce(Tensor({9}, DType::f32));
  EXPECT_THROW(thread.wait(), Error);
  EXPECT_EQ(script.reduced.size(), 3U);
}

TEST(CommunicationThread, DyingDoesNotWaitForAReductionThatNeverEnds) {
  Script script;
  script.hold = true;
  {
    CommunicationThread thread(std::make_unique<PretendedPair>(script));
    thread.all_reduce(Tensor({1}, DType::f32));
    thread.all_reduce(Tensor({2}, DType::f32));
    ASSERT_TRUE(script.reached(1));
  }  // returns although the reduction is held
  std::unique_lock lock(script.mutex);
  EXPECT_FALSE(script.left);
  script.hold = false;
  script.changed.notify_all();
  EXPECT_TRUE(script.changed.wait_for(lock, std::chrono::seconds(10), [&] { return script.left; }));
  EXPECT_EQ(script.reduced.size(), 1U);
}

struct ThreeParameters {
  Parameter p[3];
  ThreeParameters() {
    for (std::int64_t i = 0; i < 3; ++i) {
      const Shape shape{16 * (i + 1)};
      p[i] = {.var = Var(make_empty(shape), true), .full = shape, .shard = {}, .init = {}};
    }
  }
  std::vector<NamedParameter> list() { return {{"a", &p[0]}, {"b", &p[1]}, {"c", &p[2]}}; }
  const Node* leaf(int i) const { return p[i].var.node().get(); }
  Tensor grad(int i) const { return make_random(p[i].full, 1); }
};

TEST(GradientBuckets, BucketsAreReducedWhileBackwardRunsLastParameterFirst) {
  Script script;
  Mesh mesh(std::make_unique<PretendedPair>(script), 2);
  ThreeParameters parameters;
  GradientBuckets buckets(parameters.list(), mesh, {.bucket_bytes = 1});
  const LeafHook early = buckets.hook(false);
  for (const int i : {2, 1, 0}) early(parameters.leaf(i), parameters.grad(i));
  const LeafHook hook = buckets.hook(true);
  hook(parameters.leaf(1), parameters.grad(1));  // out of order: waits for c
  hook(parameters.leaf(2), parameters.grad(2));
  ASSERT_TRUE(script.reached(2));  // before the last gradient, and before finish()
  hook(parameters.leaf(0), parameters.grad(0));
  buckets.finish();
  EXPECT_EQ(script.reduced, (std::vector<std::int64_t>{48, 32, 16}));
  for (const Tensor& g : buckets.gradients()) EXPECT_EQ(g.byte_offset() % 64, 0U);
}

TEST(GradientBuckets, AParameterWithoutAGradientHoldsNobodyUp) {
  Script script;
  Mesh mesh(std::make_unique<PretendedPair>(script), 2);
  ThreeParameters parameters;
  GradientBuckets buckets(parameters.list(), mesh, {.bucket_bytes = 1});
  for (int step = 0; step < 2; ++step) {
    buckets.zero();
    const LeafHook hook = buckets.hook(true);
    for (const int i : {1, 0}) hook(parameters.leaf(i), parameters.grad(i));
    buckets.finish();
  }
  EXPECT_EQ(script.reduced, (std::vector<std::int64_t>{48, 32, 16, 48, 32, 16}));
}

TEST(GradientBuckets, AnErrorOfTheThreadSurfacesInFinish) {
  Script script;
  script.fail_at = 1;
  Mesh mesh(std::make_unique<PretendedPair>(script), 2);
  ThreeParameters parameters;
  GradientBuckets buckets(parameters.list(), mesh, {.bucket_bytes = 1});
  const LeafHook hook = buckets.hook(true);
  for (const int i : {2, 1, 0}) hook(parameters.leaf(i), parameters.grad(i));
  EXPECT_THROW(buckets.finish(), Error);
  EXPECT_EQ(script.reduced.size(), 2U);
}

}  // namespace
}  // namespace weft
