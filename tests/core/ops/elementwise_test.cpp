// add, scale, cast, reshape and the activations.
#include "core/ops/elementwise.hpp"

#include "core/base/error.hpp"
#include "tests/core/ops/gradient_check.hpp"

namespace weft {
namespace {

using Rows = std::vector<std::vector<double>>;

double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

double apply(Activation f, double x) {
  switch (f) {
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::tanh:
      return std::tanh(x);
  }
  return 0;
}

constexpr Activation kActivations[] = {Activation::gelu, Activation::gelu_tanh, Activation::relu,
                                       Activation::tanh};

// Values away from relu's kink at 0, so that differences across it do not blur the check.
Tensor away_from_zero(const Shape& shape, std::uint64_t seed) {
  std::vector<float> x = to_vector(make_random(shape, seed, DType::f32, 3));
  for (float& v : x) v += v < 0 ? -0.25F : 0.25F;
  return to_tensor(x, shape);
}

TEST(Elementwise, Add) {
  check_op({.inputs = {make_random({3, 5}, 1), make_random({3, 5}, 2)},
            .op = [](const auto& in) { return in[0] + in[1]; },
            .reference =
                [](const Rows& in) {
                  std::vector<double> y = in[0];
                  for (std::size_t i = 0; i < y.size(); ++i) y[i] += in[1][i];
                  return y;
                }});
}

TEST(Elementwise, AddToItselfSumsBothGradients) {
  check_op({.inputs = {make_random({7}, 1)},
            .op = [](const auto& in) { return add(add(in[0], in[0]), in[0]); },
            .reference =
                [](const Rows& in) {
                  std::vector<double> y = in[0];
                  for (double& v : y) v *= 3;
                  return y;
                }});
}

TEST(Elementwise, Scale) {
  check_op({.inputs = {make_random({2, 3, 5}, 1)},
            .op = [](const auto& in) { return scale(in[0], -1.75F); },
            .reference =
                [](const Rows& in) {
                  std::vector<double> y = in[0];
                  for (double& v : y) v *= -1.75;
                  return y;
                }});
}

TEST(Elementwise, Reshape) {
  check_op({.inputs = {make_random({2, 6}, 1)},
            .op =
                [](const auto& in) {
                  return reshape(in[0], {3, 4});
                },
            .reference = [](const Rows& in) { return in[0]; }});
}

TEST(Elementwise, CastRoundsAndCastsTheGradientBack) {
  const Var x(make_random({5, 7}, 1), true);
  const Var y = cast(x, DType::bf16);
  EXPECT_TRUE(same_bits(y.value(), to_dtype(x.value(), DType::bf16)));
  const Tensor dy = make_random({5, 7}, 2, DType::bf16);
  EXPECT_TRUE(same_bits(backward(y, dy)[x], to_dtype(dy, DType::f32)));
  EXPECT_EQ(cast(x, DType::f32).node(), x.node());
}

TEST(Elementwise, Activations) {
  for (const Activation f : kActivations) {
    check_op({.inputs = {away_from_zero({5, 13}, 1)},
              .op = [f](const auto& in) { return activation(in[0], f); },
              .reference =
                  [f](const Rows& in) {
                    std::vector<double> y = in[0];
                    for (double& v : y) v = apply(f, v);
                    return y;
                  },
              .forward_tolerance = 1e-6});
  }
}

TEST(Elementwise, BiasActivations) {
  const std::size_t columns = 13;
  for (const Activation f : kActivations) {
    check_op({.inputs = {away_from_zero({2, 3, 13}, 1), make_random({13}, 2, DType::f32, 0.1F)},
              .op = [f](const auto& in) { return bias_activation(in[0], in[1], f); },
              .reference =
                  [f](const Rows& in) {
                    std::vector<double> y = in[0];
                    for (std::size_t i = 0; i < y.size(); ++i)
                      y[i] = apply(f, y[i] + in[1][i % columns]);
                    return y;
                  },
              .forward_tolerance = 1e-6});
  }
}

TEST(Elementwise, TakesEmptyTensors) {
  const Var x(make_empty({0, 4}), true);
  const Var bias(make_random({4}, 1), true);
  const Var y = bias_activation(x + x, bias, Activation::gelu);
  EXPECT_EQ(to_vector(backward(y, make_empty({0, 4}))[bias]), std::vector<float>(4, 0.0F));
}

template <class F>
void expect_error(F&& f, const std::string& message) {
  try {
    f();
    FAIL() << "no error; expected: " << message;
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), message);
    EXPECT_FALSE(e.hint().empty());
  }
}

TEST(Elementwise, ErrorsNameOpAndShapes) {
  const Var a(make_random({2, 3}, 1)), b(make_random({3, 2}, 1));
  const Var half(make_random({2, 3}, 1, DType::bf16)), ids(make_indices({1, 2}));
  expect_error([&] { add(a, b); }, "add: [2, 3] f32 and [3, 2] f32 differ");
  expect_error([&] { add(a, half); }, "add: [2, 3] f32 and [2, 3] bf16 differ");
  expect_error([&] { reshape(a, {4}); }, "reshape: [2, 3] to [4]");
  expect_error([&] { cast(ids, DType::f32); }, "cast: [2] i32 to f32");
  expect_error([&] { bias_activation(a, b, Activation::gelu); },
               "bias_activation: bias [3, 2] f32 does not fit x [2, 3] f32");
}

}  // namespace
}  // namespace weft
