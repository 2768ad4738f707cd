// The optimizers' kernels against the same update in fp64.
#include <tuple>

#include "core/backend/backend.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

constexpr float kDecay = 0.1F;
const AdamArgs kArgs{.lr = 0.01F,
                     .eps = 1e-6F,
                     .grad_scale = 0.5F,
                     .beta1 = 0.9,
                     .beta2 = 0.99,
                     .correction1 = 1 - 0.9,
                     .correction2 = 1 - 0.99};

Tensor second_moment(const Shape& shape) {
  std::vector<float> v = to_vector(make_random(shape, 3, DType::f32, 1e-4F));
  for (float& x : v) x = std::abs(x);
  return to_tensor(v, shape);
}

struct Fixture {
  explicit Fixture(std::int64_t n, DType copy_dtype)
      : w(make_random({n}, 1)),
        m(make_random({n}, 2, DType::f32, 0.01F)),
        v(second_moment({n})),
        g(make_random({n}, 4, DType::f32, 0.1F)),
        copy(make_empty({n}, copy_dtype)) {}
  Tensor w, m, v, g, copy;

  AdamTensors tensors() const {
    return {.w = w, .m = m, .v = v, .copy = copy, .g = g, .weight_decay = kDecay};
  }
  void adamw() const {
    const AdamTensors all[] = {tensors()};
    test_backend().adamw(all, kArgs);
  }
};

struct Expected {
  std::vector<double> w, m, v, direction;

  explicit Expected(const Fixture& f) {
    const std::vector<float> fw = to_vector(f.w), fm = to_vector(f.m), fv = to_vector(f.v),
                             fg = to_vector(f.g);
    for (std::size_t i = 0; i < fw.size(); ++i) {
      const double g = double{fg[i]} * double{kArgs.grad_scale};
      m.push_back(kArgs.beta1 * double{fm[i]} + (1 - kArgs.beta1) * g);
      v.push_back(kArgs.beta2 * double{fv[i]} + (1 - kArgs.beta2) * g * g);
      direction.push_back(m[i] / kArgs.correction1 /
                              (std::sqrt(v[i] / kArgs.correction2) + double{kArgs.eps}) +
                          double{kDecay} * double{fw[i]});
      w.push_back(double{fw[i]} - double{kArgs.lr} * direction[i]);
    }
  }
};

TEST(OptimKernels, AdamW) {
  for (const DType dtype : test_dtypes()) {
    Fixture f(77, dtype);
    const Expected expected(f);
    f.adamw();
    EXPECT_TRUE(close(f.m, expected.m, 1e-6));
    EXPECT_TRUE(close(f.v, expected.v, 1e-6));
    EXPECT_TRUE(close(f.w, expected.w, 1e-6));
    EXPECT_TRUE(same_bits(f.copy, to_dtype(f.w, dtype)));
  }
}

// More tensors than one launch takes, of every kind, each a part of a larger one.
TEST(OptimKernels, AdamWOfManyTensors) {
  struct Many {
    Fixture fixture;
    Expected expected;
    bool has_copy;
  };
  const std::vector<DType> dtypes = test_dtypes();
  std::vector<Many> many;
  std::vector<AdamTensors> all;
  for (std::int64_t i = 0; i < 150; ++i) {
    const std::int64_t n = i == 7 ? 20'011 : i == 8 ? 4096 : i % 5 == 0 ? 0 : i;
    Fixture f(n + 3, dtypes[static_cast<std::size_t>(i) % dtypes.size()]);
    for (Tensor* t : {&f.w, &f.m, &f.v, &f.g, &f.copy}) *t = t->slice_flat(i % 4, {n});
    many.push_back({f, Expected(f), i % 7 != 0});
    all.push_back(f.tensors());
    if (i % 7 == 0) all.back().copy = {};
  }
  test_backend().adamw(all, kArgs);
  for (const auto& [f, expected, has_copy] : many) {
    EXPECT_TRUE(close(f.m, expected.m, 1e-6)) << f.w.numel();
    EXPECT_TRUE(close(f.v, expected.v, 1e-6)) << f.w.numel();
    EXPECT_TRUE(close(f.w, expected.w, 1e-6)) << f.w.numel();
    if (has_copy) {
      EXPECT_TRUE(same_bits(f.copy, to_dtype(f.w, f.copy.dtype()))) << f.w.numel();
    }
  }
}

TEST(OptimKernels, NothingToUpdateIsFine) {
  test_backend().adamw({}, kArgs);
  Fixture f(0, DType::f32);
  f.adamw();
  Tensor u = empty_like(f.w);
  test_backend().lamb_direction(u, f.tensors(), kArgs);
  test_backend().lamb_apply(f.tensors(), u, {}, kArgs.lr);
}

TEST(OptimKernels, NanComesThroughWhereItIs) {
  Fixture f(300, DType::f32);
  f.g = with_element(f.g, 7, NAN);
  f.adamw();
  const std::vector<float> w = to_vector(f.w);
  for (std::size_t i = 0; i < w.size(); ++i) EXPECT_EQ(std::isnan(w[i]), i == 7) << i;
}

TEST(OptimKernels, WeightDecayKeepsItsDigits) {
  // lr * decay = 1e-6 is near the spacing of floats at 1: as a factor 1 - 1e-6 it would be 5% off.
  // Single weights round by about as much, their sum does not.
  const std::int64_t n = 10'000;
  Tensor w = make_random({n}, 1), m = make_empty({n});
  test_backend().fill(m, 0);
  Tensor v = to_dtype(m, DType::f32), g = to_dtype(m, DType::f32);
  const std::vector<float> before = to_vector(w);
  const AdamTensors all[] = {{.w = w, .m = m, .v = v, .copy = {}, .g = g, .weight_decay = 1e-4F}};
  test_backend().adamw(all, {.lr = 1e-2F});
  const std::vector<float> after = to_vector(w);
  double change = 0, expected = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    change += std::abs(double{before[i]}) - std::abs(double{after[i]});
    expected += 1e-6 * std::abs(double{before[i]});
  }
  EXPECT_NEAR(change / expected, 1, 0.005);
}

TEST(OptimKernels, Lamb) {
  for (const DType dtype : test_dtypes()) {
    Fixture f(77, dtype);
    const Expected expected(f);
    Tensor u = empty_like(f.w);
    test_backend().lamb_direction(u, f.tensors(), kArgs);
    EXPECT_TRUE(close(f.m, expected.m, 1e-6));
    EXPECT_TRUE(close(f.v, expected.v, 1e-6));
    EXPECT_TRUE(close(u, expected.direction, 1e-6));
    test_backend().lamb_apply(f.tensors(), u, {}, kArgs.lr);
    EXPECT_TRUE(close(f.w, expected.w, 1e-6));
    EXPECT_TRUE(same_bits(f.copy, to_dtype(f.w, dtype)));
  }
}

TEST(OptimKernels, LambScalesByTheNormsAndMayOverwriteTheGradient) {
  for (const std::int64_t offset : {0, 1}) {
    Fixture f(5003, DType::bf16);
    for (Tensor* t : {&f.w, &f.m, &f.v, &f.g, &f.copy}) *t = t->slice_flat(offset, {5002});
    const Expected expected(f);
    test_backend().lamb_direction(f.g, f.tensors(), kArgs);
    EXPECT_TRUE(close(f.g, expected.direction, 1e-6));
    for (const auto& [ww, uu, ratio] :
         {std::tuple{4.0, 16.0, 0.5}, {0.0, 16.0, 1.0}, {4.0, 0.0, 1.0}}) {
      const std::vector<float> before = to_vector(f.w), u = to_vector(f.g);
      test_backend().lamb_apply(f.tensors(), f.g, to_tensor(std::vector{ww, uu}, {2}, DType::f64),
                                kArgs.lr);
      std::vector<double> want;
      for (std::size_t i = 0; i < before.size(); ++i)
        want.push_back(double{before[i]} - double{kArgs.lr} * ratio * double{u[i]});
      EXPECT_TRUE(close(f.w, want, 1e-6)) << ww << ", " << uu;
      EXPECT_TRUE(same_bits(f.copy, to_dtype(f.w, DType::bf16)));
    }
  }
}

TEST(OptimKernels, GivesTheSameBitsEveryTime) {
  EXPECT_TRUE(repeatable([]() -> std::vector<Tensor> {
    Fixture f(100'003, DType::bf16);
    f.adamw();
    Tensor u = empty_like(f.w);
    test_backend().lamb_direction(u, f.tensors(), kArgs);
    test_backend().lamb_apply(f.tensors(), u, {}, 0.1F);
    return {f.w, f.m, f.v, f.copy, u};
  }));
}

}  // namespace
}  // namespace weft
