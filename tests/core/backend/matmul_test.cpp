// Matrix products of every kind against fp64, and the caches behind them.
#include <gtest/gtest.h>
#include <omp.h>

#include "core/backend/backend.hpp"
#include "core/backend/cpu/packed_weights.hpp"
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
  EXPECT_TRUE(close(in.c, expected, c.c_dtype == DType::bf16 ? 4e-3 : 2e-6)) << c.str();
}

// Every combination of flags and dtypes.
void expect_exact_in_all_forms(const Sizes& sizes) {
  for (const auto& [dtype, c_dtype] :
       {std::pair{DType::f32, DType::f32}, std::pair{DType::bf16, DType::bf16},
        std::pair{DType::bf16, DType::f32}}) {
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
  for (const DType dtype : {DType::f32, DType::bf16}) {
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

TEST(Matmul, LeadingDimsCountAsRows) {
  Tensor a = make_random({2, 3, 8}, 1), b = make_random({5, 8}, 2), c({2, 3, 5}, DType::f32);
  Tensor flat({6, 5}, DType::f32);
  backend(c).matmul(c, a, b, {.transpose_b = true});
  backend(c).matmul(flat, a.reshape({6, 8}), b, {.transpose_b = true});
  EXPECT_TRUE(same_bits(c.reshape({6, 5}), flat));
}

TEST(Matmul, InfinityAndNanComeThrough) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Tensor a = to_tensor({1, INFINITY, NAN, 1}, {2, 2}, dtype);
    Tensor b = to_tensor({1, 2}, {2, 1}, dtype);
    Tensor c({2, 1}, dtype);
    backend(c).matmul(c, a, b, {});
    EXPECT_EQ(to_vector(c)[0], INFINITY);
    EXPECT_TRUE(std::isnan(to_vector(c)[1]));
  }
}

TEST(Matmul, ChangingTheThreadCountIsNoticed) {
  const int threads = omp_get_max_threads();
  for (const int n : {1, 2, 1, 3}) {
    omp_set_num_threads(n);
    expect_exact({.sizes = {200, 96, 64}});
  }
  omp_set_num_threads(threads);
}

TEST(Matmul, ManyShapesDoNotPileUp) {
  for (std::int64_t m = 1; m <= 1030; ++m) {  // more than the cache of compiled products holds
    Tensor a = make_random({m, 2}, 1), b = make_random({2, 1}, 2), c({m, 1}, DType::f32);
    backend(c).matmul(c, a, b, {});
    const auto x = to_vector(a), y = to_vector(b);
    const auto last = static_cast<std::size_t>(m - 1);
    ASSERT_NEAR(to_vector(c)[last], x[2 * last] * y[0] + x[2 * last + 1] * y[1], 1e-6F);
  }
}

// c = a weight^T through packed weights, whatever this CPU prefers.
class PackedProduct {
 public:
  explicit PackedProduct(DType dtype) : dtype_(dtype) {}

  Tensor operator()(const Tensor& a, const Tensor& weight, bool transpose) {
    const std::int64_t m = a.shape()[0], k = a.shape()[1];
    const std::int64_t n = weight.shape()[transpose ? 0 : 1];
    const auto product = products_.get({.m = m,
                                        .n = n,
                                        .k = k,
                                        .a_row = k,
                                        .b_row = transpose ? 1 : n,
                                        .b_column = transpose ? k : 1,
                                        .c_row = n,
                                        .dtype = dtype_,
                                        .packed_b = true,
                                        .threads = omp_get_max_threads()});
    const Tensor packed = packed_.get(weight, product);
    const Tensor scratch({static_cast<std::int64_t>(product->scratch_bytes())}, DType::u8);
    Tensor c({m, n}, DType::f32);
    product->run(c.raw(), a.raw(), packed.raw(), nullptr, scratch.raw());
    return c;
  }
  std::size_t packed_weights() const { return packed_.size(); }

 private:
  DType dtype_;
  ProductCache products_;
  PackedWeights packed_;
};

Tensor plain_product(const Tensor& a, const Tensor& weight, bool transpose) {
  Tensor c({a.shape()[0], weight.shape()[transpose ? 0 : 1]}, DType::f32);
  backend(c).matmul(c, a, weight, {.transpose_b = transpose});
  return c;
}

std::vector<DType> dtypes_of_this_cpu() {
  if (cpu_has_bf16()) return {DType::f32, DType::bf16};
  return {DType::f32};
}

TEST(PackedWeights, GiveTheSameProducts) {
  for (const DType dtype : dtypes_of_this_cpu()) {
    PackedProduct product(dtype);
    const Tensor a = make_random({33, 96}, 1, dtype), w = make_random({96, 96}, 2, dtype);
    for (const bool transpose : {true, false, true}) {
      EXPECT_TRUE(close(product(a, w, transpose), plain_product(a, w, transpose), 1e-5));
    }
    EXPECT_EQ(product.packed_weights(), 2U) << "one form for each direction";
  }
}

TEST(PackedWeights, FollowTheVersion) {
  for (const DType dtype : dtypes_of_this_cpu()) {
    PackedProduct product(dtype);
    const Tensor a = make_random({7, 64}, 1, dtype);
    Tensor w = make_random({48, 64}, 2, dtype);
    const Tensor before = product(a, w, true);
    std::memcpy(w.raw(), make_random({48, 64}, 3, dtype).raw(), w.bytes());
    EXPECT_TRUE(same_bits(product(a, w, true), before)) << "nobody said that the weight changed";
    w.storage().bump_version();
    EXPECT_TRUE(close(product(a, w, true), plain_product(a, w, true), 1e-5));
    EXPECT_EQ(product.packed_weights(), 1U);
  }
}

TEST(PackedWeights, KeepAWidenedWeightForBothDirections) {
  PackedWeights weights;
  Tensor w = make_random({48, 64}, 2, DType::bf16);
  const Tensor wide = weights.widened(w, backend(w));
  EXPECT_TRUE(same_bits(wide, to_dtype(w, DType::f32)));
  EXPECT_EQ(weights.widened(w, backend(w)).raw(), wide.raw());
  EXPECT_EQ(weights.size(), 1U);
  std::memcpy(w.raw(), make_random({48, 64}, 3, DType::bf16).raw(), w.bytes());
  w.storage().bump_version();
  EXPECT_TRUE(same_bits(weights.widened(w, backend(w)), to_dtype(w, DType::f32)));
  EXPECT_EQ(weights.size(), 1U);
}

// With DNNL_MAX_CPU_ISA=AVX2, as CI runs it, these are products of the widened weight.
TEST(PackedWeights, ABackendFollowsTheVersionOfABf16Weight) {
  const Tensor a = make_random({7, 64}, 1, DType::bf16);
  Tensor w = make_random({48, 64}, 2, DType::bf16);
  for (const unsigned seed : {2U, 3U}) {
    std::memcpy(w.raw(), make_random({48, 64}, seed, DType::bf16).raw(), w.bytes());
    w.storage().bump_version();
    Tensor of_weight({7, 48}, DType::f32), of_tensor({7, 48}, DType::f32);
    backend(w).matmul(of_weight, a, w, {.transpose_b = true, .b_is_weight = true});
    backend(w).matmul(of_tensor, a, w, {.transpose_b = true});
    EXPECT_TRUE(close(of_weight, of_tensor, 1e-5));
  }
}

TEST(PackedWeights, ViewsOfOneStorageAreDistinct) {
  PackedProduct product(DType::f32);
  const Tensor a = make_random({7, 64}, 1), both = make_random({64, 64}, 2);
  for (const std::int64_t first : {0, 32}) {
    const Tensor w = both.narrow(first, 32);
    EXPECT_TRUE(close(product(a, w, true), plain_product(a, w, true), 1e-5));
  }
}

TEST(PackedWeights, DieWithTheirWeightAndAreCounted) {
  PackedProduct product(DType::f32);
  const Tensor a = make_random({7, 256}, 1);
  std::size_t one = 0;
  for (int i = 0; i < 5; ++i) {
    const std::size_t before = allocator({}).stats().in_use;
    product(a, make_random({256, 256}, 2), true);
    if (i == 0) one = allocator({}).stats().in_use - before;
    EXPECT_LE(allocator({}).stats().in_use, before + one);
    EXPECT_EQ(product.packed_weights(), 1U);
  }
  EXPECT_GE(one, 256U * 256U * sizeof(float));
}

}  // namespace
}  // namespace weft
