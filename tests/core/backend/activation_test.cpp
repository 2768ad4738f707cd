// The activations' accuracy over their whole range, and their fused forms.
#include "core/backend/backend.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

const double kPi = std::acos(-1.0);

double value(Activation f, double x) {
  switch (f) {
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / kPi) * (x + 0.044715 * x * x * x)));
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::tanh:
      return std::tanh(x);
  }
  return 0;
}

double slope(Activation f, double x) {
  switch (f) {
    case Activation::gelu:
      return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * kPi);
    case Activation::gelu_tanh: {
      const double k = std::sqrt(2 / kPi), t = std::tanh(k * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
    }
    case Activation::relu:
      return x > 0 ? 1 : 0;
    case Activation::tanh:
      return 1 - std::tanh(x) * std::tanh(x);
  }
  return 0;
}

constexpr Activation kAll[] = {Activation::gelu, Activation::gelu_tanh, Activation::relu,
                               Activation::tanh};

// -50 ... 50, densest around 0.
Tensor range() {
  std::vector<float> x;
  for (int i = -20'000; i <= 20'000; ++i) {
    const double t = i / 20'000.0;
    x.push_back(static_cast<float>(50 * t * t * t));
  }
  return to_tensor(x, {static_cast<std::int64_t>(x.size())});
}

TEST(Activation, IsAccurateOverTheWholeRange) {
  const Tensor x = range(), ones = to_tensor(std::vector<float>(40'001, 1), x.shape());
  const std::vector<float> xs = to_vector(x);
  for (const Activation f : kAll) {
    Tensor y = empty_like(x), dx = empty_like(x);
    test_backend().activation_forward(y, x, f);
    test_backend().activation_backward(dx, ones, x, f);
    const std::vector<float> ys = to_vector(y), slopes = to_vector(dx);
    double worst_value = 0, worst_slope = 0;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const double scale = std::max(1.0, double{xs[i]});  // y grows with x; below 0 it does not
      worst_value = std::max(worst_value, std::abs(double{ys[i]} - value(f, xs[i])) / scale);
      worst_slope = std::max(worst_slope, std::abs(double{slopes[i]} - slope(f, xs[i])));
    }
    EXPECT_LT(worst_value, 7e-7) << static_cast<int>(f);
    EXPECT_LT(worst_slope, 1e-6) << static_cast<int>(f);
  }
}

TEST(Activation, GeluIsExactInItsTails) {
  const Tensor x = to_tensor({-50, -6, 6, 50}, {4});
  for (const Activation f : {Activation::gelu, Activation::gelu_tanh}) {
    Tensor y = empty_like(x);
    test_backend().activation_forward(y, x, f);
    EXPECT_TRUE(close(y, std::vector<float>{0, 0, 6, 50}, 0, 1e-8)) << static_cast<int>(f);
  }
}

TEST(Activation, NanComesThrough) {
  const Tensor x = to_tensor({1, std::nanf(""), 2}, {3});
  for (const Activation f : kAll) {
    Tensor y = empty_like(x);
    test_backend().activation_forward(y, x, f);
    EXPECT_TRUE(std::isnan(to_vector(y)[1])) << static_cast<int>(f);
    EXPECT_FALSE(std::isnan(to_vector(y)[2])) << static_cast<int>(f);
  }
}

TEST(Activation, Bf16IsTheRoundedFp32Result) {
  const Tensor half = to_dtype(range(), DType::bf16), full = to_dtype(half, DType::f32);
  for (const Activation f : kAll) {
    Tensor y = empty_like(half), expected = empty_like(full);
    test_backend().activation_forward(y, half, f);
    test_backend().activation_forward(expected, full, f);
    EXPECT_TRUE(same_result(y, to_dtype(expected, DType::bf16))) << static_cast<int>(f);
  }
}

// Fewer columns than a warp has lanes, odd numbers of them, packs of 16 bytes, several tiles of
// columns; one row, few, and more than a column sum takes at once.
const Shape kShapes[] = {{1, 1}, {3, 31}, {67, 33}, {300, 24}, {5, 1000}, {1, 1501}};

// Where a function or its slope nears 0, 1 + erf or 1 + tanh has few digits left.
constexpr double kAbsolute = 2e-6;

TEST(Activation, AgreesWithFp64InEveryDtype) {
  for (const DType dtype : test_dtypes()) {
    for (const Shape& shape : kShapes) {
      const Tensor aligned = make_random(shape, 1, dtype, 4), dy = make_random(shape, 2, dtype);
      for (const Tensor& x : {aligned, unaligned(aligned)}) {
        const std::vector<double> xs = to_vector<double>(x), dys = to_vector<double>(dy);
        for (const Activation f : kAll) {
          std::vector<double> ys, dxs;
          for (std::size_t i = 0; i < xs.size(); ++i) {
            ys.push_back(value(f, xs[i]));
            dxs.push_back(dys[i] * slope(f, xs[i]));
          }
          Tensor y = empty_like(x), dx = empty_like(x);
          test_backend().activation_forward(y, x, f);
          test_backend().activation_backward(dx, dy, x, f);
          EXPECT_TRUE(close(y, ys, tolerance_of(dtype, 2e-6), kAbsolute)) << shape.str();
          EXPECT_TRUE(close(dx, dxs, tolerance_of(dtype, 2e-6), kAbsolute)) << shape.str();
        }
      }
    }
  }
}

TEST(Activation, AgreesWithFp64AfterABias) {
  for (const DType dtype : test_dtypes()) {
    for (const Shape& shape : kShapes) {
      const Tensor aligned = make_random(shape, 1, dtype, 4), dy = make_random(shape, 2, dtype);
      const Tensor bias = make_random({shape.last()}, 3, dtype);
      for (const Tensor& x : {aligned, unaligned(aligned)}) {
        const std::vector<double> xs = to_vector<double>(x), dys = to_vector<double>(dy);
        const std::vector<double> biases = to_vector<double>(bias);
        for (const Activation f : kAll) {
          std::vector<double> ys, dxs, dbiases(biases.size());
          for (std::size_t i = 0; i < xs.size(); ++i) {
            const double biased = xs[i] + biases[i % biases.size()];
            ys.push_back(value(f, biased));
            dxs.push_back(dys[i] * slope(f, biased));
            dbiases[i % biases.size()] += dxs.back();
          }
          Tensor y = empty_like(x), dx = empty_like(x), dbias = make_empty(bias.shape());
          test_backend().bias_activation_forward(y, x, bias, f);
          test_backend().bias_activation_backward(dx, dbias, dy, x, bias, f);
          EXPECT_TRUE(close(y, ys, tolerance_of(dtype, 2e-6), kAbsolute)) << shape.str();
          EXPECT_TRUE(close(dx, dxs, tolerance_of(dtype, 2e-6), kAbsolute)) << shape.str();
          EXPECT_TRUE(close(dbias, dbiases, 1e-5, kAbsolute)) << shape.str();
        }
      }
    }
  }
}

TEST(Activation, OfNothingIsNothing) {
  const Tensor none = make_empty({0, 6}), bias = make_random({6}, 1);
  Tensor y = empty_like(none), dbias = make_random({6}, 2);
  test_backend().activation_forward(y, none, Activation::gelu);
  test_backend().activation_backward(y, none, none, Activation::gelu);
  test_backend().bias_activation_forward(y, none, bias, Activation::gelu);
  test_backend().bias_activation_backward(y, dbias, none, none, bias, Activation::gelu);
  EXPECT_EQ(to_vector(dbias), std::vector<float>(6, 0.0F));
}

TEST(Activation, GivesTheSameBitsEveryTime) {
  for (const DType dtype : test_dtypes()) {
    for (const Activation f : kAll) {
      const Tensor x = make_random({67, 1501}, 1, dtype, 4), dy = make_random({67, 1501}, 2, dtype);
      const Tensor bias = make_random({1501}, 3, dtype);
      EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
        Tensor y = empty_like(x), dx = empty_like(x), by = empty_like(x), bdx = empty_like(x);
        Tensor dbias = make_empty({1501});
        test_backend().activation_forward(y, x, f);
        test_backend().activation_backward(dx, dy, x, f);
        test_backend().bias_activation_forward(by, x, bias, f);
        test_backend().bias_activation_backward(bdx, dbias, dy, x, bias, f);
        return {y, dx, by, bdx, dbias};
      }));
    }
  }
}

}  // namespace
}  // namespace weft
