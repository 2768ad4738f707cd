// The gradient check itself: right ops pass, ops with a planted error fail.
#include "tests/core/ops/gradient_check.hpp"

namespace weft {
namespace {

// x^3 elementwise with gradient factor * 3 x^2, rounding both to the dtype of x.
OpCase cube(float gradient_factor, float bf16_error = 0) {
  return {.inputs = {make_random({2, 5}, 1)},
          .op =
              [=](const std::vector<Var>& in) {
                const Tensor x = in[0].value();
                std::vector<float> y = to_vector(x);
                for (float& v : y) v = v * v * v;
                if (x.dtype() == DType::bf16) y[3] += bf16_error;
                return record("cube", to_tensor(y, x.shape(), x.dtype()), in,
                              [=](const Tensor& dy) -> Grads {
                                std::vector<float> dx = to_vector(x);
                                const std::vector<float> d = to_vector(dy);
                                for (std::size_t i = 0; i < dx.size(); ++i)
                                  dx[i] = gradient_factor * 3 * dx[i] * dx[i] * d[i];
                                return {to_tensor(dx, x.shape(), x.dtype())};
                              });
              },
          .reference =
              [](const std::vector<std::vector<double>>& in) {
                std::vector<double> y = in[0];
                for (double& v : y) v = v * v * v;
                return y;
              }};
}

TEST(GradientCheck, AcceptsARightOp) { check_op(cube(1)); }

TEST(GradientCheck, RejectsAGradientOffByOnePercent) {
  EXPECT_TRUE(forward_agrees(cube(1.01F)));
  EXPECT_FALSE(gradients_agree(cube(1.01F)));
}

TEST(GradientCheck, RejectsAWrongForward) {
  OpCase c = cube(1);
  c.reference = [](const std::vector<std::vector<double>>& in) { return in[0]; };
  EXPECT_FALSE(forward_agrees(c));
}

TEST(GradientCheck, RejectsAWrongBf16Path) {
  EXPECT_FALSE(half_agrees(cube(1, 0.1F), DType::bf16));
}

TEST(GradientCheck, RejectsAMissingGradient) {
  OpCase c = cube(1);
  c.op = [](const std::vector<Var>& in) {
    return record("none", to_dtype(in[0].value(), in[0].dtype()), in,
                  [](const Tensor&) -> Grads { return {Tensor{}}; });
  };
  EXPECT_FALSE(gradients_agree(c));
}

TEST(Close, TellsNanAndInfinityApart) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(close(std::vector{1.0F, inf, nan}, std::vector{1.0F, inf, nan}, 1e-6));
  EXPECT_FALSE(close(std::vector{1.0F, nan}, std::vector{1.0F, inf}, 1e-6));
  EXPECT_FALSE(close(std::vector{1.0F, -inf}, std::vector{1.0F, inf}, 1e-6));
  EXPECT_FALSE(close(std::vector{1.0F, nan}, std::vector{1.0F, 2.0F}, 1e-6));
  EXPECT_FALSE(close(std::vector{1.0F}, std::vector{1.0F, 2.0F}, 1e-6));
}

}  // namespace
}  // namespace weft
