// Kernels that are compiled for several instruction sets: each gives what the baseline gives.
#include <gtest/gtest.h>

#include "core/backend/cpu/simd/level.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

struct Case {
  std::int64_t rows, columns;
  DType dtype;

  Shape shape() const { return {rows, columns}; }
  // Numbers of all sizes, not aligned, that do not fit a vector.
  Tensor random(std::uint64_t seed, float scale = 4) const {
    return unaligned(make_random(shape(), seed, dtype, scale));
  }
  Tensor random_row(std::uint64_t seed) const {
    return unaligned(make_random({columns}, seed, dtype));
  }
  // With numbers that are special among them, one to a row.
  Tensor special(std::uint64_t seed) const {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    constexpr float kSpecial[] = {std::numeric_limits<float>::quiet_NaN(),
                                  kInf,
                                  -kInf,
                                  -0.0F,
                                  1e-39F,
                                  -1e-45F,
                                  3e38F,
                                  -3e38F,
                                  1e-20F,
                                  100.0F,
                                  -100.0F};
    std::vector<float> values = to_vector(random(seed, 8));
    for (std::int64_t row = 0; row < rows; ++row) {
      values[static_cast<std::size_t>(row * columns + row * 5 % columns)] =
          kSpecial[static_cast<std::size_t>(row) % std::size(kSpecial)];
    }
    return unaligned(to_tensor(values, shape(), dtype));
  }
  Tensor empty() const { return unaligned(make_empty(shape(), dtype)); }
};

class CpuLevels : public testing::Test {
 protected:
  void SetUp() override {
    if (!on_cpu()) GTEST_SKIP() << "these are the CPU's";
    if (cpu_level() == CpuLevel::baseline) GTEST_SKIP() << "this CPU has the baseline alone";
  }
  void TearDown() override { set_cpu_level(std::nullopt); }

  // Expects the outputs of compute(case) to be equal on all levels.
  template <class F>
  static void expect_equal_levels(const F& compute) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const std::int64_t columns : {1, 15, 16, 47, 300}) {
        for (const std::int64_t rows : {1, 4, 23}) {
          const Case c{rows, columns, dtype};
          set_cpu_level(CpuLevel::baseline);
          const std::vector<Tensor> want = compute(c);
          set_cpu_level(std::nullopt);
          const std::vector<Tensor> got = compute(c);
          for (std::size_t i = 0; i < want.size(); ++i) {
            EXPECT_TRUE(close(got[i], want[i], 0))
                << "output " << i << ", " << c.shape().str() << " " << name_of(dtype);
          }
        }
      }
    }
  }
};

TEST_F(CpuLevels, AgreeOnConversionsSumsAndMultiples) {
  for (const DType other : {DType::f32, DType::bf16, DType::f16}) {
    expect_equal_levels([other](const Case& c) {
      const Tensor x = c.special(1), y = c.special(2);
      Tensor converted = unaligned(make_empty(c.shape(), other)), sum = empty_like(converted);
      Tensor multiple = c.empty();
      test_backend().copy(converted, x);
      test_backend().add(sum, converted, y);
      test_backend().scale(multiple, x, 0.3F);
      return std::vector{converted, sum, multiple};
    });
  }
}

TEST_F(CpuLevels, AgreeOnCopiesOfWeights) {
  expect_equal_levels([](const Case& c) {
    const auto state = [&](std::uint64_t seed) { return unaligned(make_random(c.shape(), seed)); };
    Tensor v = state(1);
    test_backend().fill(v, 0.1F);
    const AdamTensors p{.w = state(2), .m = state(3), .v = v, .copy = c.empty(), .g = state(4)};
    test_backend().adamw({&p, 1}, {.lr = 0.1F});
    return std::vector{p.copy};
  });
}

TEST_F(CpuLevels, AgreeOnActivations) {
  for (const Activation f :
       {Activation::gelu, Activation::gelu_tanh, Activation::relu, Activation::tanh}) {
    SCOPED_TRACE(static_cast<int>(f));
    expect_equal_levels([f](const Case& c) {
      const Tensor x = c.special(1), dy = c.special(2), bias = c.random_row(3);
      Tensor y = c.empty(), dx = c.empty(), y_bias = c.empty(), dx_bias = c.empty();
      Tensor dbias = make_empty({c.columns});
      test_backend().activation_forward(y, x, f);
      test_backend().activation_backward(dx, dy, x, f);
      test_backend().bias_activation_forward(y_bias, x, bias, f);
      test_backend().bias_activation_backward(dx_bias, dbias, dy, x, bias, f);
      return std::vector{y, dx, y_bias, dx_bias, dbias};
    });
  }
}

TEST_F(CpuLevels, AgreeOnNorms) {
  for (const float p : {0.0F, 0.3F}) {
    expect_equal_levels([p](const Case& c) {
      const Dropout dropout{.p = p, .key = {.seed = 8, .step = 2}, .first_element = 3};
      const Tensor x = c.special(1), residual = c.random(2), dy = c.special(3);
      const Tensor gamma = c.random_row(4), beta = c.random_row(5), bias = c.random_row(6);
      Tensor y = c.empty(), sum = c.empty(), mean = make_empty({c.rows}), rstd = empty_like(mean);
      Tensor dx = c.empty(), dsum = c.empty(), dgamma = make_empty({c.columns});
      Tensor dbeta = empty_like(dgamma), dbias = empty_like(dgamma);
      test_backend().residual_norm_forward(y, sum, mean, rstd,
                                           {.x = x,
                                            .bias = bias,
                                            .residual = residual,
                                            .gamma = gamma,
                                            .beta = beta,
                                            .dropout = dropout});
      test_backend().residual_norm_backward(dx, dsum, dbias, dgamma, dbeta, dy, sum, mean, rstd,
                                            gamma, dropout);
      Tensor plain = c.empty(), plain_mean = empty_like(mean), plain_rstd = empty_like(mean);
      Tensor plain_dx = c.empty(), plain_dgamma = empty_like(dgamma);
      Tensor plain_dbeta = empty_like(dgamma), dropped = c.empty();
      test_backend().layer_norm_forward(plain, plain_mean, plain_rstd, x, gamma, beta, 1e-5F);
      test_backend().layer_norm_backward(plain_dx, plain_dgamma, plain_dbeta, dy, x, plain_mean,
                                         plain_rstd, gamma);
      test_backend().dropout(dropped, x, dropout);
      return std::vector{y,       sum,      mean,         rstd,       dx,         dsum,
                         dbias,   dgamma,   dbeta,        plain,      plain_mean, plain_rstd,
                         dropped, plain_dx, plain_dgamma, plain_dbeta};
    });
  }
}

TEST_F(CpuLevels, AgreeOnCrossEntropy) {
  expect_equal_levels([](const Case& c) {
    std::vector<std::int32_t> ids;
    for (std::int64_t n = 0; n < c.rows; ++n)
      ids.push_back(static_cast<std::int32_t>(n % 4 == 3 ? -1 : n * 7 % c.columns));
    const Tensor logits = c.special(1), targets = make_indices(ids);
    Tensor parts = make_empty({c.rows, 3}), lse = make_empty({c.rows}), sums = make_empty({2});
    Tensor dlogits = c.empty();
    test_backend().cross_entropy_parts(parts, logits, targets, 0);
    test_backend().cross_entropy_join(sums, lse, parts, targets);
    test_backend().cross_entropy_backward(dlogits, logits, targets, lse, to_tensor({0.5F}, {1}), 0);
    return std::vector{parts, lse, dlogits};
  });
}

}  // namespace
}  // namespace weft
