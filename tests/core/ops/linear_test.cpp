// Linear maps: against fp64, gradients, what is skipped, and messages.
#include "core/ops/linear.hpp"

#include "core/ops/elementwise.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/core/ops/gradient_check.hpp"

namespace weft {
namespace {

std::vector<double> reference(const std::vector<std::vector<double>>& in, std::size_t inputs,
                              std::size_t outputs) {
  std::vector<double> y;
  for (std::size_t row = 0; row < in[0].size() / inputs; ++row) {
    for (std::size_t o = 0; o < outputs; ++o) {
      double sum = in.size() > 2 ? in[2][o] : 0;
      for (std::size_t i = 0; i < inputs; ++i)
        sum += in[0][row * inputs + i] * in[1][o * inputs + i];
      y.push_back(sum);
    }
  }
  return y;
}

TEST(Linear, WithBias) {
  check_op({.inputs = {make_random({2, 3, 5}, 1), make_random({7, 5}, 2), make_random({7}, 3)},
            .op = [](const auto& in) { return linear(in[0], in[1], in[2]); },
            .reference = [](const auto& in) { return reference(in, 5, 7); }});
}

TEST(Linear, WithoutBias) {
  check_op({.inputs = {make_random({4, 33}, 1), make_random({17, 33}, 2)},
            .op = [](const auto& in) { return linear(in[0], in[1]); },
            .reference = [](const auto& in) { return reference(in, 33, 17); }});
}

double apply(Activation f, double x) {
  const double angle = std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
  return f == Activation::gelu_tanh ? 0.5 * x * (1 + std::tanh(angle))
         : f == Activation::gelu    ? 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)))
                                    : std::tanh(x);
}

// As many outputs as a fused product takes on a GPU, and another number.
TEST(Linear, WithBiasAndActivation) {
  for (const Activation f : {Activation::gelu_tanh, Activation::gelu, Activation::tanh}) {
    for (const std::int64_t outputs : {16, 7}) {
      check_op({.inputs = {make_random({2, 3, 5}, 1), make_random({outputs, 5}, 2),
                           make_random({outputs}, 3)},
                .op = [f](const auto& in) { return linear_activation(in[0], in[1], in[2], f); },
                .reference =
                    [=](const auto& in) {
                      auto y = reference(in, 5, static_cast<std::size_t>(outputs));
                      for (double& v : y) v = apply(f, v);
                      return y;
                    }});
    }
  }
}

TEST(LinearOnCpu, ActivationIsThatOfTheBiasedProduct) {
  const Var x(make_random({3, 5}, 1)), w(make_random({8, 5}, 2)), bias(make_random({8}, 3));
  for (const Activation f : {Activation::gelu, Activation::gelu_tanh, Activation::relu}) {
    EXPECT_TRUE(same_bits(linear_activation(x, w, bias, f).value(),
                          bias_activation(linear(x, w), bias, f).value()));
  }
}

TEST(Linear, NoRowsGiveZeroGradients) {
  const Var x(make_empty({0, 4}), true), w(make_random({3, 4}, 1), true),
      bias(make_random({3}, 2), true);
  for (const Var& y : {linear(x, w, bias), linear_activation(x, w, bias, Activation::gelu_tanh)}) {
    EXPECT_EQ(y.shape(), (Shape{0, 3}));
    const GradMap grads = backward(y, empty_like(y.value()));
    EXPECT_EQ(to_vector(grads[w]), std::vector<float>(12, 0));
    EXPECT_EQ(to_vector(grads[bias]), std::vector<float>(3, 0));
  }
}

TEST(Linear, SkipsWhatNeedsNoGradient) {
  const Tensor x = make_random({2, 4}, 1), w = make_random({3, 4}, 2), b = make_random({3}, 3);
  for (int wanted = 0; wanted < 8; ++wanted) {
    const Var vx(x, wanted & 1), vw(w, wanted & 2), vb(b, wanted & 4);
    const Var y = linear(vx, vw, vb);
    EXPECT_EQ(y.requires_grad(), wanted != 0);
    if (wanted == 0) continue;
    const Grads grads = y.node()->backward(make_random({2, 3}, 4));
    EXPECT_EQ(static_cast<bool>(grads[0]), vx.requires_grad());
    EXPECT_EQ(static_cast<bool>(grads[1]), vw.requires_grad());
    EXPECT_EQ(static_cast<bool>(grads[2]), vb.requires_grad());
  }
}

TEST(Linear, ParameterGradientsAreFp32) {
  const Var x(make_random({2, 4}, 1, DType::bf16), true),
      w(make_random({3, 4}, 2, DType::bf16), true), b(make_random({3}, 3, DType::bf16), true);
  const Var y = linear(x, w, b);
  EXPECT_EQ(y.dtype(), DType::bf16);
  const GradMap grads = backward(y, make_random({2, 3}, 4, DType::bf16));
  EXPECT_EQ(grads[x].dtype(), DType::bf16);
  EXPECT_EQ(grads[w].dtype(), DType::f32);
  EXPECT_EQ(grads[b].dtype(), DType::f32);
}

TEST(Linear, MismatchesNameBothShapes) {
  const auto make = [](const Shape& shape, DType dtype = DType::f32) {
    return Var(make_empty(shape, dtype));
  };
  expect_error([&] { linear(make({2, 5}), make({3, 4})); }, {"linear", "[2, 5]", "[3, 4]"});
  expect_error([&] { linear(make({2, 4}), make({4})); }, {"linear", "[2, 4]", "[4]"});
  expect_error(
      [&] {
        linear(make({2, 4}), make({3, 4}), make({4}));
      },
      {"linear", "bias [4]", "[3, 4]"});
  expect_error([&] { linear(make({2, 4}, DType::bf16), make({3, 4})); }, {"linear", "bf16", "f32"});
  for (const Activation f : {Activation::gelu_tanh, Activation::tanh}) {
    expect_error([&] { linear_activation(make({2, 4}), make({3, 4}), {}, f); }, {"bias none"});
    expect_error(
        [&] {
          linear_activation(make({2, 5}), make({3, 4}), make({3}), f);
        },
        {"linear", "[2, 5]", "[3, 4]"});
  }
}

}  // namespace
}  // namespace weft
