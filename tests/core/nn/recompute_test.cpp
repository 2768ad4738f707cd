// Recomputed blocks: the same values and gradients, hooks once per parameter, less memory.
#include "core/nn/recompute.hpp"

#include "core/autograd/backward.hpp"
#include "core/ops/dropout.hpp"
#include "core/ops/elementwise.hpp"
#include "core/ops/linear.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

struct Block {
  Var w{make_random({8, 8}, 1), true};
  Var bias{make_random({8}, 2), true};

  Var operator()(const Var& x, Pass& pass) const {
    return recompute(
        [this](const std::vector<Var>& in, Pass& p) {
          return dropout(bias_activation(linear(in[0], w), bias, Activation::gelu), 0.4F, p);
        },
        {x}, {w, bias}, pass);
  }
};

struct Result {
  Tensor y;
  std::vector<Tensor> grads;            // of x, w, bias
  std::vector<const Node*> hook_order;  // one entry per call
  std::uint32_t next_place = 0;
};

// Runs the one block `depth` times: its parameters are shared, as ALBERT's.
Result run(bool with_recompute, int depth, bool x_wants_gradient = true) {
  const Block block;
  const Var x(make_random({3, 8}, 3), x_wants_gradient);
  Pass pass{.training = true, .recompute = with_recompute, .seed = 9, .step = 2};
  Var y = x;
  for (int i = 0; i < depth; ++i) y = block(y, pass);
  Result r;
  r.y = y.value();
  r.next_place = pass.next_place;
  r.grads.resize(3);
  backward(y, make_random({3, 8}, 4), [&](const Node* node, const Tensor& grad) {
    r.hook_order.push_back(node);
    const Node* leaves[] = {x.node().get(), block.w.node().get(), block.bias.node().get()};
    for (std::size_t i = 0; i < 3; ++i) {
      if (node == leaves[i]) r.grads[i] = grad;
    }
  });
  return r;
}

TEST(Recompute, GivesTheSameBitsWithDropout) {
  const Result plain = run(false, 1), again = run(true, 1);
  EXPECT_TRUE(same_bits(plain.y, again.y));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(same_bits(plain.grads[i], again.grads[i])) << i;
  EXPECT_EQ(plain.next_place, again.next_place);
}

TEST(Recompute, ASharedParametersHookFiresOnceWithTheWholeSum) {
  const Result plain = run(false, 3), again = run(true, 3);
  EXPECT_EQ(plain.next_place, 3U);
  EXPECT_EQ(again.hook_order.size(), 3U);
  EXPECT_TRUE(same_bits(plain.y, again.y));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(close(again.grads[i], plain.grads[i], 1e-6)) << i;
}

TEST(Recompute, AnInputThatWantsNoGradientGetsNone) {
  const Result again = run(true, 2, false);
  EXPECT_EQ(again.hook_order.size(), 2U);
  EXPECT_FALSE(again.grads[0]);
  EXPECT_TRUE(close(again.grads[1], run(false, 2, false).grads[1], 1e-6));
}

TEST(Recompute, BlocksMayBeNested) {
  const Block block;
  const auto run_nested = [&](bool with_recompute) {
    const Var x(make_random({3, 8}, 3), true);
    Pass pass{.training = true, .recompute = with_recompute, .seed = 9};
    const Var y =
        recompute([&](const std::vector<Var>& in, Pass& p) { return block(block(in[0], p), p); },
                  {x}, {block.w, block.bias}, pass);
    return backward(y, make_random({3, 8}, 4))[block.w];
  };
  EXPECT_TRUE(close(run_nested(true), run_nested(false), 1e-6));
}

TEST(Recompute, KeepsOnlyTheInputsOfABlock) {
  const Block block;
  const auto kept = [&](bool with_recompute) {
    const Var x(make_random({1000, 8}, 3), true);
    Pass pass{.training = true, .recompute = with_recompute};
    const std::size_t before = allocator(test_device()).stats().in_use;
    const Var y = block(x, pass);
    return allocator(test_device()).stats().in_use - before;
  };
  EXPECT_LT(kept(true), kept(false));
  EXPECT_LE(kept(true), 1000 * 8 * sizeof(float) * 9 / 8);  // the output alone
}

}  // namespace
}  // namespace weft
