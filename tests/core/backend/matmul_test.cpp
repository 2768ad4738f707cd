// Matrix products of every kind against fp64.
#include <gtest/gtest.h>
#include <omp.h>

#include "core/backend/backend.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

struct Sizes {
  std::int64_t m, n, k;
};

struct Case {
  Sizes sizes;
  MatmulArgs args = {};
  DType dtype = DType::f32;
  DType c_dtype = DType::f32;

  std::string str() const {
    return std::to_string(sizes.m) + "x" + std::to_string(sizes.n) + "x" + std::to_string(sizes.k) +
           " ta " + std::to_string(args.transpose_a) + " tb " + std::to_string(args.transpose_b) +
           " acc " + std::to_string(args.accumulate) + " bias " +
           std::to_string(static_cast<bool>(args.bias)) + " " + std::string(name_of(dtype)) +
           " -> " + std::string(name_of(c_dtype));
  }
};

struct Operands {
  Tensor c, a, b;
};

Operands operands_of(const Case& c) {
  const auto [m, n, k] = c.sizes;
  const auto stored = [](bool transposed, std::int64_t rows, std::int64_t columns) {
    return transposed ? Shape{columns, rows} : Shape{rows, columns};
  };
  return {make_random({m, n}, 3, c.c_dtype),
          make_random(stored(c.args.transpose_a, m, k), 1, c.dtype),
          make_random(stored(c.args.transpose_b, k, n), 2, c.dtype)};
}

std::vector<double> reference(const Case& c, const Operands& in) {
  const auto [m, n, k] = c.sizes;
  const auto a = to_vector(in.a), b = to_vector(in.b), old = to_vector(in.c);
  const auto bias = c.args.bias ? to_vector(c.args.bias) : std::vector<float>();
  std::vector<double> out;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = c.args.bias ? bias[static_cast<std::size_t>(j)] : 0.0F;
      if (c.args.accumulate) sum += old[static_cast<std::size_t>(i * n + j)];
      for (std::int64_t l = 0; l < k; ++l) {
        const std::int64_t at_a = c.args.transpose_a ? l * m + i : i * k + l;
        const std::int64_t at_b = c.args.transpose_b ? j * k + l : l * n + j;
        sum +=
            double{a[static_cast<std::size_t>(at_a)]} * double{b[static_cast<std::size_t>(at_b)]};
      }
      out.push_back(sum);
    }
  }
  return out;
}

void expect_exact(const Case& c) {
  Operands in = operands_of(c);
  const std::vector<double> expected = reference(c, in);
  backend(in.c).matmul(in.c, in.a, in.b, c.args);
  EXPECT_TRUE(close(in.c, expected, tolerance_of(c.c_dtype, 2e-6))) << c.str();
}

// Every combination of flags and dtypes.
void expect_exact_in_all_forms(const Sizes& sizes) {
  std::vector<std::pair<DType, DType>> dtypes;
  for (const DType dtype : test_dtypes()) {
    dtypes.emplace_back(dtype, dtype);
    if (dtype != DType::f32) dtypes.emplace_back(dtype, DType::f32);
  }
  for (const auto& [dtype, c_dtype] : dtypes) {
    for (int flags = 0; flags < 32; ++flags) {
      Case c{.sizes = sizes, .dtype = dtype, .c_dtype = c_dtype};
      c.args.transpose_a = flags & 1;
      c.args.transpose_b = flags & 2;
      c.args.accumulate = flags & 4;
      c.args.b_is_weight = flags & 8;
      if (flags & 16) c.args.bias = make_random({sizes.n}, 5, dtype);
      expect_exact(c);
    }
  }
}

TEST(Matmul, AgreesWithFp64OnSmallAndOddSizes) {
  for (const std::int64_t m : {1, 3, 17}) {
    for (const std::int64_t n : {1, 5, 33}) {
      for (const std::int64_t k : {1, 2, 19}) expect_exact_in_all_forms({m, n, k});
    }
  }
}

TEST(Matmul, AgreesWithFp64OnLargerSizes) {
  for (const Sizes sizes : {Sizes{63, 129, 65}, Sizes{128, 64, 100}, Sizes{1, 259, 130}})
    expect_exact_in_all_forms(sizes);
}

TEST(Matmul, NothingToDoIsDone) {
  for (const DType dtype : test_dtypes()) {
    expect_exact({.sizes = {0, 5, 3}, .dtype = dtype, .c_dtype = dtype});
    expect_exact({.sizes = {4, 0, 3}, .dtype = dtype, .c_dtype = dtype});
    for (const bool accumulate : {false, true}) {
      for (const bool bias : {false, true}) {
        Case c{.sizes = {4, 5, 0}, .dtype = dtype, .c_dtype = dtype};
        c.args.accumulate = accumulate;
        if (bias) c.args.bias = make_random({5}, 5, dtype);
        expect_exact(c);
      }
    }
  }
}

// c = a^T b with the sums of a's rows, for every dtype of c and with all else that a call may ask.
TEST(Matmul, SumsOfACome) {
  for (const DType dtype : test_dtypes()) {
    for (const Sizes sizes : {Sizes{5, 3, 7}, Sizes{64, 48, 130}, Sizes{5, 3, 0}, Sizes{5, 0, 7}}) {
      for (const int flags : {0, 1, 2, 4}) {
        Case c{.sizes = sizes, .dtype = dtype, .c_dtype = flags & 1 ? dtype : DType::f32};
        c.args.transpose_a = true;
        c.args.accumulate = flags & 2;
        c.args.a_sums = make_empty({sizes.m});
        if (flags & 4) c.args.bias = make_random({sizes.n}, 5, dtype);
        expect_exact(c);
        const std::vector<float> a = to_vector(operands_of(c).a);
        std::vector<double> sums(static_cast<std::size_t>(sizes.m));
        for (std::size_t i = 0; i < a.size(); ++i) sums[i % sums.size()] += double{a[i]};
        EXPECT_TRUE(close(c.args.a_sums, sums, 2e-6)) << c.str();
      }
    }
  }
}

// c = f(a b^T + bias) and what f was taken of, in a multiple of 8 columns and in others.
TEST(Matmul, ActivatesWhereTheBackendFusesIt) {
  if (!test_backend().fuses_activation(Activation::gelu_tanh, DType::bf16))
    GTEST_SKIP() << test_backend().name() << " leaves the activation to another kernel";
  for (const DType dtype : test_dtypes()) {
    for (const Sizes sizes : {Sizes{5, 8, 3}, Sizes{64, 48, 130}, Sizes{5, 7, 3}, Sizes{5, 16, 0},
                              Sizes{0, 8, 3}, Sizes{33, 1, 9}}) {
      for (const DType c_dtype : {dtype, DType::f32}) {
        if (!test_backend().fuses_activation(Activation::gelu_tanh, c_dtype)) continue;
        Case c{.sizes = sizes, .dtype = dtype, .c_dtype = c_dtype};
        c.args.transpose_b = true;
        c.args.bias = make_random({sizes.n}, 5, dtype);
        Operands in = operands_of(c);
        std::vector<double> expected = reference(c, in);
        c.args.activation = Activation::gelu_tanh;
        for (const bool aligned : {true, false}) {
          const Tensor before = make_empty({sizes.m, sizes.n}, c_dtype);
          c.args.before_activation = aligned ? before : unaligned(before);
          backend(in.c).matmul(in.c, in.a, in.b, c.args);
          const double tolerance = tolerance_of(c_dtype, 4e-6);
          EXPECT_TRUE(close(c.args.before_activation, expected, tolerance)) << c.str();
          std::vector<double> activated = expected;
          for (double& v : activated) {
            const double inner = std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v);
            v = 0.5 * v * (1 + std::tanh(inner));
          }
          EXPECT_TRUE(close(in.c, activated, 2 * tolerance)) << c.str();
        }
      }
    }
  }
}

TEST(Matmul, ViewsMayBeginAnywhere) {
  const Sizes sizes{17, 24, 40};
  for (const DType dtype : test_dtypes()) {
    for (const std::int64_t first : {1, 2, 3}) {
      const auto view = [&](const Tensor& x) {
        Tensor stored = make_random({x.numel() + first}, 9, dtype);
        Tensor v = stored.slice_flat(first, x.shape());
        overwrite(v, x);
        return v;
      };
      Case c{.sizes = sizes, .dtype = dtype, .c_dtype = dtype};
      c.args.bias = view(make_random({sizes.n}, 5, dtype));
      const Operands in = operands_of(c);
      Tensor out = view(in.c);
      backend(out).matmul(out, view(in.a), view(in.b), c.args);
      EXPECT_TRUE(close(out, reference(c, in), tolerance_of(dtype, 2e-6)))
          << first << " " << c.str();
    }
  }
}

TEST(Matmul, LeadingDimsCountAsRows) {
  Tensor a = make_random({2, 3, 8}, 1), b = make_random({5, 8}, 2), c = make_empty({2, 3, 5});
  Tensor flat = make_empty({6, 5});
  backend(c).matmul(c, a, b, {.transpose_b = true});
  backend(c).matmul(flat, a.reshape({6, 8}), b, {.transpose_b = true});
  EXPECT_TRUE(same_bits(c.reshape({6, 5}), flat));
}

TEST(Matmul, InfinityAndNanComeThrough) {
  for (const DType dtype : test_dtypes()) {
    Tensor a = to_tensor({1, INFINITY, NAN, 1}, {2, 2}, dtype);
    Tensor b = to_tensor({1, 2}, {2, 1}, dtype);
    Tensor c = make_empty({2, 1}, dtype);
    backend(c).matmul(c, a, b, {});
    EXPECT_EQ(to_vector(c)[0], INFINITY);
    EXPECT_TRUE(std::isnan(to_vector(c)[1]));
  }
}

TEST(MatmulOnCpu, ChangingTheThreadCountIsNoticed) {
  const int threads = omp_get_max_threads();
  for (const int n : {1, 2, 1, 3}) {
    omp_set_num_threads(n);
    expect_exact({.sizes = {200, 96, 64}});
  }
  omp_set_num_threads(threads);
}

TEST(Matmul, ManyShapesDoNotPileUp) {
  for (std::int64_t m = 1; m <= 1030; ++m) {  // more than the cache of compiled products holds
    Tensor a = make_random({m, 2}, 1), b = make_random({2, 1}, 2), c = make_empty({m, 1});
    backend(c).matmul(c, a, b, {});
    const auto x = to_vector(a), y = to_vector(b);
    const auto last = static_cast<std::size_t>(m - 1);
    ASSERT_NEAR(to_vector(c)[last], x[2 * last] * y[0] + x[2 * last + 1] * y[1], 1e-6F);
  }
}

}  // namespace
}  // namespace weft
