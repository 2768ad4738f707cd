// The optimizers' kernels against the same update in fp64.
#include <numeric>
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
  // The squares of w and of the direction, f64 [1, 2].
  Tensor lamb_moments() const {
    const AdamTensors all[] = {tensors()};
    Tensor squares = make_empty({1, 2}, DType::f64);
    test_backend().lamb_moments(squares, all, kArgs);
    return squares;
  }
  void lamb_apply(const Tensor& squares) const {
    const AdamTensors all[] = {tensors()};
    test_backend().lamb_apply(all, squares, kArgs);
  }
};

struct Expected {
  std::vector<double> w, m, v;  // w: AdamW's
  std::vector<double> before, direction;

  explicit Expected(const Fixture& f, double decay = kDecay) {
    const std::vector<float> fw = to_vector(f.w), fm = to_vector(f.m), fv = to_vector(f.v),
                             fg = to_vector(f.g);
    for (std::size_t i = 0; i < fw.size(); ++i) {
      const double g = double{fg[i]} * double{kArgs.grad_scale};
      m.push_back(kArgs.beta1 * double{fm[i]} + (1 - kArgs.beta1) * g);
      v.push_back(kArgs.beta2 * double{fv[i]} + (1 - kArgs.beta2) * g * g);
      direction.push_back(m[i] / kArgs.correction1 /
                              (std::sqrt(v[i] / kArgs.correction2) + double{kArgs.eps}) +
                          decay * double{fw[i]});
      before.push_back(double{fw[i]});
      w.push_back(before[i] - double{kArgs.lr} * direction[i]);
    }
  }

  std::vector<double> squares() const { return {square(before), square(direction)}; }
  std::vector<double> lamb(double ratio) const {
    std::vector<double> y = before;
    for (std::size_t i = 0; i < y.size(); ++i) y[i] -= double{kArgs.lr} * ratio * direction[i];
    return y;
  }

 private:
  static double square(const std::vector<double>& x) {
    return std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
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
struct Many {
  Fixture fixture;
  AdamTensors tensors;
  Expected expected;
};

std::vector<Many> many_tensors() {
  const std::vector<DType> dtypes = test_dtypes();
  std::vector<Many> many;
  for (std::int64_t i = 0; i < 150; ++i) {
    const std::int64_t n = i == 7 ? 20'011 : i == 8 ? 4096 : i % 5 == 0 ? 0 : i;
    Fixture f(n + 3, dtypes[static_cast<std::size_t>(i) % dtypes.size()]);
    for (Tensor* t : {&f.w, &f.m, &f.v, &f.g, &f.copy}) *t = t->slice_flat(i % 4, {n});
    AdamTensors tensors = f.tensors();
    if (i % 7 == 0) tensors.copy = {};
    if (i % 3 == 0) tensors.weight_decay = 0;
    many.push_back({f, tensors, Expected(f, tensors.weight_decay)});
  }
  return many;
}

std::vector<AdamTensors> tensors_of(const std::vector<Many>& many) {
  std::vector<AdamTensors> all;
  for (const Many& m : many) all.push_back(m.tensors);
  return all;
}

TEST(OptimKernels, AdamWOfManyTensors) {
  const std::vector<Many> many = many_tensors();
  test_backend().adamw(tensors_of(many), kArgs);
  for (const auto& [f, tensors, expected] : many) {
    EXPECT_TRUE(close(f.m, expected.m, 1e-6)) << f.w.numel();
    EXPECT_TRUE(close(f.v, expected.v, 1e-6)) << f.w.numel();
    EXPECT_TRUE(close(f.w, expected.w, 1e-6)) << f.w.numel();
    if (tensors.copy) {
      EXPECT_TRUE(same_bits(f.copy, to_dtype(f.w, f.copy.dtype()))) << f.w.numel();
    }
  }
}

// Each has its own ratio, far from the others'.
TEST(OptimKernels, LambOfManyTensors) {
  const std::vector<Many> many = many_tensors();
  const std::vector<AdamTensors> all = tensors_of(many);
  Tensor squares = make_empty({static_cast<std::int64_t>(all.size()), 2}, DType::f64);
  test_backend().lamb_moments(squares, all, kArgs);
  std::vector<double> sums, given;
  for (const auto& [f, tensors, expected] : many) {
    const std::vector<double> pair = expected.squares();
    sums.insert(sums.end(), pair.begin(), pair.end());
    given.insert(given.end(), {static_cast<double>(given.size()), 50});
  }
  EXPECT_TRUE(close(squares, sums, 1e-6));
  for (const auto& [f, tensors, expected] : many) {
    EXPECT_TRUE(close(f.m, expected.m, 1e-6)) << f.w.numel();
    EXPECT_TRUE(close(f.v, expected.v, 1e-6)) << f.w.numel();
  }
  test_backend().lamb_apply(all, to_tensor(given, squares.shape(), DType::f64), kArgs);
  for (std::size_t i = 0; i < many.size(); ++i) {
    const auto& [f, tensors, expected] = many[i];
    const double ratio = i == 0 ? 1 : std::sqrt(given[2 * i] / given[2 * i + 1]);
    EXPECT_TRUE(close(f.w, expected.lamb(ratio), 1e-6)) << f.w.numel();
    if (tensors.copy) {
      EXPECT_TRUE(same_bits(f.copy, to_dtype(f.w, f.copy.dtype()))) << f.w.numel();
    }
  }
}

TEST(OptimKernels, NothingToUpdateIsFine) {
  test_backend().adamw({}, kArgs);
  Fixture f(0, DType::f32);
  f.adamw();
  const Tensor squares = f.lamb_moments();
  EXPECT_TRUE(close(squares, std::vector<double>{0, 0}, 0));
  f.lamb_apply(squares);
  Tensor none = make_empty({0, 2}, DType::f64);
  test_backend().lamb_moments(none, {}, kArgs);
  test_backend().lamb_apply({}, none, kArgs);
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
    for (const std::int64_t offset : {0, 1}) {
      Fixture f(5003, dtype);
      for (Tensor* t : {&f.w, &f.m, &f.v, &f.g, &f.copy}) *t = t->slice_flat(offset, {5002});
      const Expected expected(f);
      const Tensor g = to_dtype(f.g, DType::f32);
      const Tensor squares = f.lamb_moments();
      const std::vector<double> sums = expected.squares();
      EXPECT_TRUE(close(squares, sums, 1e-6));
      EXPECT_TRUE(close(f.m, expected.m, 1e-6));
      EXPECT_TRUE(close(f.v, expected.v, 1e-6));
      EXPECT_TRUE(close(f.w, expected.before, 0));
      f.lamb_apply(squares);
      EXPECT_TRUE(close(f.w, expected.lamb(std::sqrt(sums[0] / sums[1])), 1e-6));
      EXPECT_TRUE(same_bits(f.copy, to_dtype(f.w, dtype)));
      EXPECT_TRUE(same_bits(f.g, g));
    }
  }
}

TEST(OptimKernels, LambHasRatio1WhereANormIs0) {
  for (const auto& [ww, uu, ratio] :
       {std::tuple{4.0, 16.0, 0.5}, {0.0, 16.0, 1.0}, {4.0, 0.0, 1.0}, {0.0, 0.0, 1.0}}) {
    const Fixture f(77, DType::f32);
    const Expected expected(f);
    f.lamb_moments();
    f.lamb_apply(to_tensor(std::vector{ww, uu}, {1, 2}, DType::f64));
    EXPECT_TRUE(close(f.w, expected.lamb(ratio), 1e-6)) << ww << ", " << uu;
  }
}

TEST(OptimKernels, GivesTheSameBitsEveryTime) {
  EXPECT_TRUE(repeatable([]() -> std::vector<Tensor> {
    Fixture f(100'003, DType::bf16);
    f.adamw();
    const Tensor squares = f.lamb_moments();
    f.lamb_apply(squares);
    return {f.w, f.m, f.v, f.copy, squares};
  }));
}

}  // namespace
}  // namespace weft
