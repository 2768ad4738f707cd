// layer_norm and residual_norm.
#include "core/ops/layer_norm.hpp"

#include "core/base/error.hpp"
#include "core/ops/dropout.hpp"
#include "core/ops/elementwise.hpp"
#include "tests/core/backend/dropout_reference.hpp"
#include "tests/core/backend/norm_reference.hpp"
#include "tests/core/ops/gradient_check.hpp"

namespace weft {
namespace {

using Rows = std::vector<std::vector<double>>;

std::vector<double> norm(const std::vector<double>& x, const std::vector<double>& gamma,
                         const std::vector<double>& beta, double eps) {
  return norm_reference(x, gamma, beta, eps).y;
}

TEST(LayerNormOp, AgreesWithItsDefinition) {
  for (const Shape& shape : {Shape{5, 13}, Shape{2, 3, 4}, Shape{2, 67}}) {
    check_op({.inputs = {make_random(shape, 1), make_random({shape.last()}, 2),
                         make_random({shape.last()}, 3)},
              .op = [](const auto& in) { return layer_norm(in[0], in[1], in[2], 1e-5F); },
              .reference = [](const Rows& in) { return norm(in[0], in[1], in[2], 1e-5); }});
  }
}

TEST(LayerNormOp, ALargeMeanDoesNotDrownTheVariance) {
  std::vector<float> values = to_vector(make_random({3, 64}, 1));
  for (float& v : values) v += 1000;
  const Tensor x = to_tensor(values, {3, 64});
  const Tensor gamma = make_random({64}, 2), beta = make_random({64}, 3);
  EXPECT_TRUE(close(
      layer_norm(Var(x), Var(gamma), Var(beta), 1e-12F).value(),
      norm(to_vector<double>(x), to_vector<double>(gamma), to_vector<double>(beta), 1e-12), 1e-3));
}

TEST(LayerNormOp, AConstantRowGivesBeta) {
  const Tensor x = to_tensor(std::vector<float>(8, 3.0F), {1, 8});
  const Tensor gamma = make_random({8}, 1), beta = make_random({8}, 2);
  EXPECT_TRUE(
      same_bits(layer_norm(Var(x), Var(gamma), Var(beta), 1e-12F).value(), beta.reshape({1, 8})));
}

constexpr float kP = 0.25F;

std::vector<double> residual_norm_reference(const Rows& in, bool drops) {
  const auto &x = in[0], &residual = in[1], &gamma = in[2], &beta = in[3];
  std::vector<double> sum = residual;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double biased = x[i] + (in.size() > 4 ? in[4][i % in[4].size()] : 0);
    sum[i] += drops ? biased * dropout_factor({.p = kP, .key = {.seed = 3}}, i) : biased;
  }
  return norm(sum, gamma, beta, 1e-5);
}

TEST(ResidualNormOp, AgreesWithItsDefinition) {
  for (const bool drops : {false, true}) {
    for (const bool has_bias : {false, true}) {
      std::vector<Tensor> inputs = {make_random({2, 3, 13}, 1), make_random({2, 3, 13}, 2),
                                    make_random({13}, 3), make_random({13}, 4)};
      if (has_bias) inputs.push_back(make_random({13}, 5));
      check_op({.inputs = inputs,
                .op =
                    [=](const std::vector<Var>& in) {
                      Pass pass{.training = drops, .seed = 3};
                      return residual_norm(in[0], has_bias ? in[4] : Var{}, in[1], in[2], in[3],
                                           1e-5F, kP, pass);
                    },
                .reference = [=](const Rows& in) { return residual_norm_reference(in, drops); },
                .half_tolerance = 4e-2});
    }
  }
}

// Fused and composed of single ops: the same keys, so the same masks, in both.
TEST(ResidualNormOp, EqualsTheOpsItFuses) {
  const Tensor x = make_random({4, 6, 80}, 1), residual = make_random({4, 6, 80}, 2);
  const Tensor gamma = make_random({80}, 3), beta = make_random({80}, 4);
  Pass one{.training = true, .seed = 9, .step = 2, .first_sample = 12}, two = one;
  const Var fused =
      residual_norm(Var(x), Var{}, Var(residual), Var(gamma), Var(beta), 1e-12F, 0.1F, one);
  const Var composed =
      layer_norm(Var(residual) + dropout(Var(x), 0.1F, two), Var(gamma), Var(beta), 1e-12F);
  EXPECT_TRUE(close(fused.value(), composed.value(), 1e-6));
  EXPECT_EQ(one.next_place, two.next_place);
}

TEST(LayerNormOp, TakesNoRows) {
  const Var x(make_empty({0, 3}), true);
  const Var gamma(make_random({3}, 1), true), beta(make_random({3}, 2), true);
  const GradMap grads = backward(layer_norm(x, gamma, beta, 1e-5F), make_empty({0, 3}));
  EXPECT_EQ(to_vector(grads[gamma]), std::vector<float>(3, 0.0F));
  EXPECT_EQ(to_vector(grads[beta]), std::vector<float>(3, 0.0F));
}

TEST(LayerNormOp, ErrorsNameOpAndShapes) {
  const Var x(make_random({2, 3}, 1)), c(make_random({3}, 1)), wrong(make_random({4}, 1));
  const Var half(make_random({3}, 1, DType::bf16)), other(make_random({3, 2}, 1));
  Pass pass;
  const auto message = [](const auto& f) -> std::string {
    try {
      f();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { layer_norm(x, wrong, c, 1e-5F); }),
            "layer_norm: gamma [4] f32 does not fit x [2, 3] f32");
  EXPECT_EQ(message([&] { layer_norm(x, c, half, 1e-5F); }),
            "layer_norm: beta [3] bf16 does not fit x [2, 3] f32");
  EXPECT_EQ(message([&] { residual_norm(x, wrong, x, c, c, 1e-5F, 0, pass); }),
            "residual_norm: bias [4] f32 does not fit x [2, 3] f32");
  EXPECT_EQ(message([&] { residual_norm(x, c, other, c, c, 1e-5F, 0, pass); }),
            "residual_norm: residual [3, 2] f32 does not fit x [2, 3] f32");
  EXPECT_THROW(residual_norm(x, c, x, c, c, 1e-5F, 1.5F, pass), Error);
}

}  // namespace
}  // namespace weft
