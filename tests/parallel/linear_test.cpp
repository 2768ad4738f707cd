// Layers cut over the tensor axis against the same layers on one rank.
#include "parallel/linear.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/ops/elementwise.hpp"
#include "parallel/collectives.hpp"
#include "tests/parallel/parallel_helpers.hpp"

namespace weft {
namespace {

TEST(Collectives, AGroupOfOneReturnsItsArgument) {
  const auto self = self_communicator();
  const Var x(make_random({3, 2}, 1), true);
  EXPECT_EQ(copy_to_tensor_ranks(x, *self).node(), x.node());
  EXPECT_EQ(reduce_from_tensor_ranks(x, *self).node(), x.node());
}

TEST(Collectives, CopySumsGradientsAndLeavesTheirSourceAlone) {
  const auto c = test_world();
  const Var x(make_random({3, 2}, 1), true);
  const Var y = copy_to_tensor_ranks(x, *c);
  EXPECT_TRUE(same_bits(y.value(), x.value()));
  const auto rank = static_cast<float>(c->rank());
  const Tensor dy = to_tensor({rank, 1, 2, 3, 4, 5}, {3, 2});
  const Tensor before = to_dtype(dy, DType::f32);
  const Tensor dx = backward(y, dy)[x];
  const auto n = static_cast<float>(c->size());
  EXPECT_TRUE(same_bits(dx, to_tensor({n * (n - 1) / 2, n, 2 * n, 3 * n, 4 * n, 5 * n}, {3, 2})));
  EXPECT_TRUE(same_bits(dy, before));
}

TEST(Collectives, ReduceSumsValuesAndHandsTheGradientOn) {
  const auto c = test_world();
  const Var x(to_tensor({static_cast<float>(c->rank()), 1}, {2}), true);
  const Var y = reduce_from_tensor_ranks(x, *c);
  const auto n = static_cast<float>(c->size());
  EXPECT_TRUE(same_bits(y.value(), to_tensor({n * (n - 1) / 2, n}, {2})));
  const Tensor dy = to_tensor({3, 4}, {2});
  EXPECT_TRUE(same_bits(backward(y, dy)[x], dy));
}

// Column with `segments`, GELU, Row: what a transformer's MLP is.
class Mlp final : public Module {
 public:
  Mlp(Communicator& tensor, DType dtype, int segments)
      : up_(6, 24, tensor, {.parameters = test_options(dtype), .segments = segments}),
        down_(24, 5, tensor, {.parameters = test_options(dtype), .segments = segments}) {}
  Var operator()(const Var& x) const { return down_(activation(up_(x), Activation::gelu)); }
  Var fused(const Var& x) const { return down_.product(up_(x, Activation::gelu)); }
  void visit(Visitor& v) override {
    v("up", up_);
    v("down", down_);
  }

 private:
  ColumnLinear up_;
  RowLinear down_;
};

struct MlpCase {
  DType dtype;
  int segments;
  double tolerance;
};

class MlpTest : public testing::TestWithParam<MlpCase> {};

TEST_P(MlpTest, EqualsOneRank) {
  const auto [dtype, segments, tolerance] = GetParam();
  const auto tensor = test_world();
  const auto self = self_communicator();
  Mlp mlp(*tensor, dtype, segments);
  Mlp whole(*self, dtype, segments);
  fill_parameters(mlp, *tensor);
  fill_parameters(whole, *self);

  const Var x(make_random({3, 7, 6}, 1, dtype), true);
  const Var x_whole(to_dtype(x.value(), dtype), true);
  const Tensor dy = make_random({3, 7, 5}, 2, dtype);
  const Var y = mlp(x);
  const Var y_whole = whole(x_whole);
  EXPECT_TRUE(close(y.value(), y_whole.value(), tolerance));

  const GradMap grads = backward(y, dy);
  const GradMap grads_whole = backward(y_whole, dy);
  EXPECT_TRUE(close(grads[x], grads_whole[x_whole], tolerance));
  expect_parts(mlp, grads, *tensor, whole, grads_whole, tolerance);

  EXPECT_TRUE(close(mlp.fused(x).value(), whole.fused(x_whole).value(), tolerance));
}

// fp32: one sum in another order; bf16: each rank's partial sum is rounded to 8 bits.
INSTANTIATE_TEST_SUITE_P(Layouts, MlpTest,
                         testing::Values(MlpCase{DType::f32, 1, 2e-6}, MlpCase{DType::f32, 3, 2e-6},
                                         MlpCase{DType::bf16, 1, 2e-2}),
                         [](const auto& info) {
                           return std::string(name_of(info.param.dtype)) + "_segments" +
                                  std::to_string(info.param.segments);
                         });

TEST(Linear, AReplicatedLayerIsWholeOnEveryRank) {
  const auto tensor = test_world();
  const auto self = self_communicator();
  ColumnLinear layer(
      6, 5, *tensor,
      {.parameters = test_options(), .replicate = true});  // 5 features need not divide
  ColumnLinear whole(6, 5, *self, {.parameters = test_options()});
  fill_parameters(layer, *tensor);
  fill_parameters(whole, *self);
  for (const NamedParameter& p : parameters(layer)) EXPECT_EQ(p.parameter->shard.dim, -1);
  const Var x(make_random({4, 6}, 1), true);
  const Var y = layer(x);
  const Var y_whole = whole(x);
  EXPECT_TRUE(same_bits(y.value(), y_whole.value()));
  const Tensor dy = make_random({4, 5}, 2);
  EXPECT_TRUE(same_bits(backward(y, dy)[x], backward(y_whole, dy)[x]));
}

TEST(Linear, ParametersKnowTheirWhole) {
  const auto tensor = mpi_communicator();
  const std::int64_t t = tensor->size();
  ColumnLinear column(6, 24, *tensor, {.segments = 3});
  RowLinear row(24, 6, *tensor, {});
  const auto c = parameters(column);
  const auto r = parameters(row);
  EXPECT_EQ(c[0].name, "weight");
  EXPECT_EQ(c[0].parameter->full, Shape({24, 6}));
  EXPECT_EQ(c[0].parameter->var.shape(), Shape({24 / t, 6}));
  EXPECT_EQ(c[0].parameter->shard.segments, 3);
  EXPECT_TRUE(c[0].parameter->decay);
  EXPECT_EQ(c[1].parameter->var.shape(), Shape({24 / t}));
  EXPECT_FALSE(c[1].parameter->decay);
  EXPECT_EQ(r[0].parameter->full, Shape({6, 24}));
  EXPECT_EQ(r[0].parameter->var.shape(), Shape({6, 24 / t}));
  EXPECT_EQ(r[1].parameter->var.shape(), Shape({6}));
  EXPECT_EQ(r[1].parameter->shard.dim, -1);
}

TEST(Linear, RefusesSizesThatDoNotDivide) {
  const auto message = [](const auto& make) {
    try {
      make();
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(message([] { require_divides("model.num_attention_heads: 12 heads", 12, 8); }),
            "model.num_attention_heads: 12 heads do not divide over 8 tensor ranks");
  EXPECT_EQ(message([] { require_divides("model.num_attention_heads: 12 heads", 12, 4); }), "");
  const auto tensor = mpi_communicator();
  if (tensor->size() == 1) return;
  const std::string ranks = std::to_string(tensor->size());
  EXPECT_EQ(message([&] { ColumnLinear(4, 9, *tensor, {.segments = 3}); }),
            "column layer of 4 to 9 features: 3 output features do not divide over " + ranks +
                " tensor ranks");
  EXPECT_EQ(message([&] { RowLinear(7, 4, *tensor, {}); }),
            "row layer of 7 to 4 features: 7 input features do not divide over " + ranks +
                " tensor ranks");
}

}  // namespace
}  // namespace weft
