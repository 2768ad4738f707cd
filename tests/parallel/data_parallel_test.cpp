// Gradient buckets: one gradient however the global batch is split.
#include "parallel/data_parallel.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/ops/cross_entropy.hpp"
#include "core/ops/elementwise.hpp"
#include "core/ops/linear.hpp"
#include "parallel/grad_norm.hpp"
#include "parallel/linear.hpp"
#include "tests/parallel/parallel_helpers.hpp"

namespace weft {
namespace {

constexpr std::int64_t kBatch = 16, kIn = 6, kHidden = 8, kClasses = 5;

// A classifier with a parameter of every kind: cut by rows and columns, replicated, and unused.
class Classifier final : public Module {
 public:
  explicit Classifier(Communicator& tensor)
      : up_(kIn, kHidden, tensor, {.parameters = test_options()}),
        down_(kHidden, kIn, tensor, {.parameters = test_options()}),
        head_(kIn, kClasses, tensor, {.parameters = test_options(), .replicate = true}),
        unused_(3, 3, tensor, {.parameters = test_options(), .replicate = true}) {}
  Var operator()(const Tensor& x, const Tensor& targets) const {
    return cross_entropy(head_(down_(activation(up_(Var(x)), Activation::gelu))), targets).loss;
  }
  void visit(Visitor& v) override {
    v("up", up_);
    v("down", down_);
    v("unused", unused_);
    v("head", head_);
  }

 private:
  ColumnLinear up_;
  RowLinear down_;
  ColumnLinear head_, unused_;
};

struct Samples {
  Tensor x = make_random({kBatch, kIn}, 5);
  Tensor targets;
  Samples() {
    std::vector<std::int32_t> classes;
    for (std::int64_t i = 0; i < kBatch; ++i)
      classes.push_back(static_cast<std::int32_t>(i * 3 % kClasses));
    targets = make_indices(classes);
  }
};

// One step over this rank's share of the batch, in micro-batches.
void step(const Classifier& model, GradientBuckets& buckets, const Mesh& mesh,
          std::int64_t micro_batches) {
  const Samples samples;
  const std::int64_t share = kBatch / mesh.data().size();
  const std::int64_t size = share / micro_batches;
  buckets.zero();
  for (std::int64_t m = 0; m < micro_batches; ++m) {
    const std::int64_t first = mesh.data().rank() * share + m * size;
    const Var loss = model(samples.x.narrow(first, size), samples.targets.narrow(first, size));
    backward(loss, {}, buckets.hook(m + 1 == micro_batches));
  }
  buckets.finish();
}

std::vector<Tensor> copies(const std::vector<Tensor>& list) {
  std::vector<Tensor> result;
  for (const Tensor& x : list) result.push_back(to_dtype(x, DType::f32));
  return result;
}

struct Reference {
  std::unique_ptr<Communicator> self = self_communicator();
  Classifier model{*self};
  GradMap grads;
  double norm = 0;
  Reference() {
    fill_parameters(model, *self);
    const Samples samples;
    grads = backward(model(samples.x, samples.targets));
    for (const NamedParameter& p : parameters(model)) {
      const Tensor g = grads[p.parameter->var];
      if (!g) continue;
      for (const float v : to_vector(g)) norm += double{v} * double{v};
    }
    norm = std::sqrt(norm);
  }
};

// On one host, on two, and where no ranks share memory.
class Worlds : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!on_cpu() && GetParam() != std::string("one_host")) GTEST_SKIP() << "not on a GPU";
  }
  static std::unique_ptr<Communicator> connect() {
    const std::string world = GetParam();
    if (world == "no_sharing") return mpi_communicator({.share_memory = false});
    if (world == "two_hosts") {
      const int rank = mpi_communicator()->rank();
      return mpi_communicator({.host = std::to_string(rank % 2)});
    }
    return test_world();
  }
};

TEST_P(Worlds, AnySplitOfTheBatchGivesOneGradient) {
  const Reference reference;
  Classifier& whole = const_cast<Classifier&>(reference.model);
  const int ranks = mpi_communicator()->size();
  for (int t = 1; t <= ranks; t *= 2) {
    Mesh mesh(connect(), t, test_device());
    Classifier model(mesh.tensor());
    fill_parameters(model, mesh.tensor());
    const std::vector<NamedParameter> mine = parameters(model);
    const std::vector<NamedParameter> full = parameters(whole);
    for (const std::int64_t micro_batches : {1, 2, 4}) {
      std::vector<Tensor> first;  // of the options tried: all others must give its bits
      for (const std::int64_t bucket_bytes : {1, 500, 1 << 20}) {
        for (const bool overlap : {false, true}) {
          GradientBuckets buckets(mine, mesh, {.bucket_bytes = bucket_bytes, .overlap = overlap});
          for (int repeat = 0; repeat < 2; ++repeat) step(model, buckets, mesh, micro_batches);
          for (std::size_t i = 0; i < mine.size(); ++i) {
            const Tensor& g = buckets.gradients()[i];
            Tensor want = reference.grads[full[i].parameter->var];
            if (!want)
              want = to_tensor(std::vector<float>(static_cast<std::size_t>(g.numel())), g.shape());
            EXPECT_TRUE(close(g, part_of(want, *mine[i].parameter, mesh.tensor()), 1e-5, 1e-7))
                << mine[i].name << ", tensor " << t << ", micro-batches " << micro_batches;
          }
          EXPECT_NEAR(global_grad_norm(buckets, mine, mesh), reference.norm, 1e-6 * reference.norm);
          if (first.empty()) first = copies(buckets.gradients());
          if (mesh.data().size() > 2) continue;  // MPI may sum more than two terms in any order
          for (std::size_t i = 0; i < mine.size(); ++i)
            EXPECT_TRUE(same_bits(buckets.gradients()[i], first[i])) << mine[i].name;
        }
      }
    }
  }
}

TEST_P(Worlds, OverlapDoesNotChangeABit) {
  if (std::string(GetParam()) == "one_host" && on_cpu())
    GTEST_SKIP() << "what is added in shared memory is not added in the background";
  Mesh mesh(connect(), 1, test_device());
  Classifier model(mesh.tensor());
  fill_parameters(model, mesh.tensor());
  GradientBuckets with(parameters(model), mesh, {.bucket_bytes = 300, .overlap = true});
  GradientBuckets without(parameters(model), mesh, {.bucket_bytes = 300, .overlap = false});
  step(model, with, mesh, 2);
  step(model, without, mesh, 2);
  for (std::size_t i = 0; i < with.gradients().size(); ++i)
    EXPECT_TRUE(same_bits(with.gradients()[i], without.gradients()[i]));
}

INSTANTIATE_TEST_SUITE_P(GradientBuckets, Worlds,
                         testing::Values("one_host", "two_hosts", "no_sharing"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(GradientBuckets, BackwardWritesWhereGradientsAreAddedUp) {
  Mesh mesh(test_world(), 1, test_device());
  if (mesh.data().size() == 1) GTEST_SKIP() << "nothing is added up";
  Parameter w{.var = Var(make_random({5, 4}, 1), true), .full = {5, 4}, .shard = {}, .init = {}};
  {
    GradientBuckets buckets({{"w", &w}}, mesh);
    const LeafHook count = buckets.hook(true);
    const Tensor place = w.var.node()->place;
    ASSERT_TRUE(place);
    const void* arrived_at = nullptr;
    const Var y = linear(Var(make_random({2, 4}, 2)), w.var);
    backward(y, make_random({2, 5}, 3), [&](const Node* leaf, const Tensor& grad) {
      arrived_at = grad.raw();
      count(leaf, grad);
    });
    EXPECT_EQ(arrived_at, place.raw());
    EXPECT_FALSE(w.var.node()->place) << "a second micro-batch must not write over the first";
    buckets.finish();
  }
  EXPECT_FALSE(w.var.node()->place);
}

// With one rank and with several: a second gradient as large as the weights is never made.
TEST(GradientBuckets, BackwardAddsLaterMicroBatchesToTheFirst) {
  Mesh mesh(test_world(), 1, test_device());
  Parameter w{.var = Var(make_random({5, 4}, 1), true), .full = {5, 4}, .shard = {}, .init = {}};
  GradientBuckets buckets({{"w", &w}}, mesh);
  const Tensor x = make_random({2, 4}, 2), dy = make_random({2, 5}, 3);
  const auto micro_batch = [&](bool last) {
    const void* arrived_at = nullptr;
    const LeafHook hook = buckets.hook(last);
    backward(linear(Var(x), w.var), dy, [&](const Node* leaf, const Tensor& grad) {
      arrived_at = grad.raw();
      hook(leaf, grad);
    });
    return arrived_at;
  };
  std::vector<double> want(20);
  const std::vector<double> g = to_vector<double>(dy), in = to_vector<double>(x);
  for (std::size_t i = 0; i < want.size(); ++i) {
    for (std::size_t n = 0; n < 2; ++n) want[i] += g[n * 5 + i / 4] * in[n * 4 + i % 4];
    want[i] *= 3 * mesh.data().size();
  }
  for (int step = 0; step < 2; ++step) {
    buckets.zero();
    const void* const first = micro_batch(false);
    EXPECT_EQ(micro_batch(false), first);
    EXPECT_EQ(micro_batch(true), first);
    buckets.finish();
    EXPECT_TRUE(close(buckets.gradients()[0], want, 1e-6));
  }
}

// What others still hold when the next micro-batch begins is not written to.
TEST(GradientBuckets, AFirstGradientThatOthersHoldStaysAsItIs) {
  Mesh mesh = Mesh::single(test_device());
  Parameter w{.var = Var(make_random({2, 2}, 1), true), .full = {2, 2}, .shard = {}, .init = {}};
  GradientBuckets buckets({{"w", &w}}, mesh);
  const Tensor held = to_tensor({1, 2, 3, 4}, {2, 2});
  buckets.hook(false)(w.var.node().get(), held);
  const LeafHook last = buckets.hook(true);
  EXPECT_FALSE(w.var.node()->place);
  last(w.var.node().get(), to_tensor({1, 1, 1, 1}, {2, 2}));
  buckets.finish();
  EXPECT_TRUE(same_bits(held, to_tensor({1, 2, 3, 4}, {2, 2})));
  EXPECT_TRUE(same_bits(buckets.gradients()[0], to_tensor({2, 3, 4, 5}, {2, 2})));
}

TEST(GradientBuckets, OneDataRankSumsInF32WithoutTouchingWhatBackwardMade) {
  Mesh mesh = Mesh::single(test_device());
  Parameter a{.var = Var(make_empty({3}, DType::bf16), true), .full = {3}, .shard = {}, .init = {}};
  Parameter b{
      .var = Var(make_empty({2, 2}, DType::bf16), true), .full = {2, 2}, .shard = {}, .init = {}};
  GradientBuckets buckets({{"a", &a}, {"b", &b}}, mesh);
  const LeafHook hook = buckets.hook(false);
  // 1 + 2^-8 does not fit bf16: the sum of two bf16 gradients must be kept in f32.
  hook(a.var.node().get(), to_tensor({1, 2, 3}, {3}, DType::bf16));
  const Tensor first_b = to_tensor({1, 2, 3, 4}, {2, 2});
  hook(a.var.node().get(), to_tensor({0x1.0p-8F, 0, -3}, {3}, DType::bf16));
  hook(b.var.node().get(), first_b);
  hook(b.var.node().get(), to_tensor({1, 1, 1, 1}, {2, 2}));
  buckets.finish();
  EXPECT_TRUE(same_bits(first_b, to_tensor({1, 2, 3, 4}, {2, 2})));
  EXPECT_TRUE(same_bits(buckets.gradients()[0], to_tensor({1 + 0x1.0p-8F, 2, 0}, {3})));
  EXPECT_TRUE(same_bits(buckets.gradients()[1], to_tensor({2, 3, 4, 5}, {2, 2})));

  buckets.zero();
  const Tensor only_b = to_tensor({5, 6, 7, 8}, {2, 2});
  hook(b.var.node().get(), only_b);
  buckets.finish();
  EXPECT_EQ(buckets.gradients()[1].raw(), only_b.raw());  // not copied
  EXPECT_TRUE(same_bits(buckets.gradients()[0], to_tensor({0, 0, 0}, {3})));
  EXPECT_TRUE(same_bits(buckets.gradients()[1], to_tensor({5, 6, 7, 8}, {2, 2})));
}

TEST(GradientBuckets, RefusesStrangeLeavesAndSecondGradients) {
  Mesh mesh = Mesh::single(test_device());
  Parameter a{.var = Var(make_empty({3}), true), .full = {3}, .shard = {}, .init = {}};
  GradientBuckets buckets({{"a", &a}}, mesh);
  const Var stranger(make_empty({3}), true);
  const Tensor g = to_tensor({1, 2, 3}, {3});
  const LeafHook hook = buckets.hook(true);
  EXPECT_THROW(hook(stranger.node().get(), g), Error);
  EXPECT_THROW(hook(a.var.node().get(), to_tensor({1, 2}, {2})), Error);
  hook(a.var.node().get(), g);
  EXPECT_THROW(hook(a.var.node().get(), g), Error);
}

TEST(GlobalGradNorm, LetsNotANumberThrough) {
  Mesh mesh(test_world(), mpi_communicator()->size(), test_device());
  Parameter a{.var = Var(make_empty({2}), true),
              .full = {2 * mesh.tensor().size()},
              .shard = {.dim = 0},
              .init = {}};
  const std::vector<NamedParameter> list{{"a", &a}};
  GradientBuckets buckets(list, mesh);
  const bool last = mesh.tensor().rank() == mesh.tensor().size() - 1;
  buckets.hook(true)(a.var.node().get(), to_tensor({1, last ? NAN : 1.0F}, {2}));
  buckets.finish();
  EXPECT_TRUE(std::isnan(global_grad_norm(buckets, list, mesh)));
}

TEST(GlobalGradNorm, IsBadOnAllRanksWhenAReplicatedGradientIsOnOne) {
  Mesh mesh(test_world(), mpi_communicator()->size(), test_device());
  Parameter a{.var = Var(make_empty({2}), true), .full = {2}, .shard = {}, .init = {}};
  const std::vector<NamedParameter> list{{"a", &a}};
  const bool last = mesh.tensor().rank() == mesh.tensor().size() - 1;
  for (const float bad : {NAN, INFINITY}) {
    GradientBuckets buckets(list, mesh);
    buckets.hook(true)(a.var.node().get(), to_tensor({1, last ? bad : 1.0F}, {2}));
    buckets.finish();
    EXPECT_FALSE(std::isfinite(global_grad_norm(buckets, list, mesh)));
  }
}

}  // namespace
}  // namespace weft
