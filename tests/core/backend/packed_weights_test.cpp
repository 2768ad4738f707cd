// Products of weights that the CPU keeps in a packed form.
#include "core/backend/cpu/packed_weights.hpp"

#include <omp.h>

#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

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
    const Tensor scratch =
        make_empty({static_cast<std::int64_t>(product->scratch_bytes())}, DType::u8);
    Tensor c = make_empty({m, n});
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
  Tensor c = make_empty({a.shape()[0], weight.shape()[transpose ? 0 : 1]});
  backend(c).matmul(c, a, weight, {.transpose_b = transpose});
  return c;
}

std::vector<DType> dtypes_of_this_cpu() {
  if (cpu_has_bf16()) return {DType::f32, DType::bf16};
  return {DType::f32};
}

TEST(PackedWeightsOnCpu, GiveTheSameProducts) {
  for (const DType dtype : dtypes_of_this_cpu()) {
    PackedProduct product(dtype);
    const Tensor a = make_random({33, 96}, 1, dtype), w = make_random({96, 96}, 2, dtype);
    for (const bool transpose : {true, false, true}) {
      EXPECT_TRUE(close(product(a, w, transpose), plain_product(a, w, transpose), 1e-5));
    }
    EXPECT_EQ(product.packed_weights(), 2U) << "one form for each direction";
  }
}

TEST(PackedWeightsOnCpu, FollowTheVersion) {
  for (const DType dtype : dtypes_of_this_cpu()) {
    PackedProduct product(dtype);
    const Tensor a = make_random({7, 64}, 1, dtype);
    Tensor w = make_random({48, 64}, 2, dtype);
    const Tensor before = product(a, w, true);
    overwrite(w, make_random({48, 64}, 3, dtype));
    EXPECT_TRUE(same_bits(product(a, w, true), before)) << "nobody said that the weight changed";
    w.storage().bump_version();
    EXPECT_TRUE(close(product(a, w, true), plain_product(a, w, true), 1e-5));
    EXPECT_EQ(product.packed_weights(), 1U);
  }
}

TEST(PackedWeightsOnCpu, KeepAWidenedWeightForBothDirections) {
  PackedWeights weights;
  Tensor w = make_random({48, 64}, 2, DType::bf16);
  const Tensor wide = weights.widened(w, backend(w));
  EXPECT_TRUE(same_bits(wide, to_dtype(w, DType::f32)));
  EXPECT_EQ(weights.widened(w, backend(w)).raw(), wide.raw());
  EXPECT_EQ(weights.size(), 1U);
  overwrite(w, make_random({48, 64}, 3, DType::bf16));
  w.storage().bump_version();
  EXPECT_TRUE(same_bits(weights.widened(w, backend(w)), to_dtype(w, DType::f32)));
  EXPECT_EQ(weights.size(), 1U);
}

// With DNNL_MAX_CPU_ISA=AVX2, as CI runs it, these are products of the widened weight.
TEST(PackedWeightsOnCpu, ABackendFollowsTheVersionOfABf16Weight) {
  const Tensor a = make_random({7, 64}, 1, DType::bf16);
  Tensor w = make_random({48, 64}, 2, DType::bf16);
  for (const unsigned seed : {2U, 3U}) {
    overwrite(w, make_random({48, 64}, seed, DType::bf16));
    w.storage().bump_version();
    Tensor of_weight = make_empty({7, 48}), of_tensor = make_empty({7, 48});
    backend(w).matmul(of_weight, a, w, {.transpose_b = true, .b_is_weight = true});
    backend(w).matmul(of_tensor, a, w, {.transpose_b = true});
    EXPECT_TRUE(close(of_weight, of_tensor, 1e-5));
  }
}

TEST(PackedWeightsOnCpu, ViewsOfOneStorageAreDistinct) {
  PackedProduct product(DType::f32);
  const Tensor a = make_random({7, 64}, 1), both = make_random({64, 64}, 2);
  for (const std::int64_t first : {0, 32}) {
    const Tensor w = both.narrow(first, 32);
    EXPECT_TRUE(close(product(a, w, true), plain_product(a, w, true), 1e-5));
  }
}

TEST(PackedWeightsOnCpu, DieWithTheirWeightAndAreCounted) {
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
