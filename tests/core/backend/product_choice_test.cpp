// Which kernel multiplies: by the rule, and by a table that was measured.
#include "core/backend/cpu/product_choice.hpp"

#include <string>

#include "core/backend/cpu/product_timing.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

// c[m, n] = a b, all of it stored as it is.
ProductCall call_of(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype = DType::bf16) {
  return {.shape = {.m = m,
                    .n = n,
                    .k = k,
                    .a_row = k,
                    .b_row = n,
                    .c_row = n,
                    .dtype = dtype,
                    .c_dtype = dtype}};
}

// No test leaves a table behind.
class ProductChoiceOnCpu : public testing::Test {
 protected:
  void TearDown() override { set_product_table({}); }
};

// y = x w^T, dx = dy w and dw = dy^T x of a layer.
std::vector<ProductCall> calls_of_layer(std::int64_t rows, std::int64_t inputs,
                                        std::int64_t outputs, DType dtype) {
  ProductCall y = call_of(rows, outputs, inputs, dtype), dx = call_of(rows, inputs, outputs, dtype);
  ProductCall dw = call_of(outputs, inputs, rows, dtype);
  y.shape.b_row = 1;
  y.shape.b_column = inputs;
  y.b_is_weight = dx.b_is_weight = true;
  dw.shape.a_row = 1;
  dw.shape.a_column = outputs;
  return {y, dx, dw};
}

constexpr ProductCpu kZen4{.zen4 = true, .bf16 = true};

TEST_F(ProductChoiceOnCpu, SmallProductsStayWithOneDnn) {
  for (const DType dtype : {DType::f32, DType::bf16})
    EXPECT_EQ(product_kernel_by_rule(call_of(8, 768, 768, dtype), kZen4), ProductKernel::onednn);
}

// The limits of what pays: y and dx by the rows and the sizes of the layer, dw by the outputs.
TEST_F(ProductChoiceOnCpu, LimitsOfTheRule) {
  const auto tiled = [](std::int64_t rows, std::int64_t inputs, std::int64_t outputs, DType dtype) {
    std::string which;
    const std::vector<ProductCall> calls = calls_of_layer(rows, inputs, outputs, dtype);
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (product_kernel_by_rule(calls[i], kZen4) == ProductKernel::tiles) which += "yxw"[i];
    }
    return which;
  };
  EXPECT_EQ(tiled(512, 768, 768, DType::bf16), "yxw");
  EXPECT_EQ(tiled(511, 768, 768, DType::bf16), "x");
  EXPECT_EQ(tiled(127, 768, 768, DType::bf16), "");
  EXPECT_EQ(tiled(512, 512, 128, DType::bf16), "y");   // dx sums over 128, dw has 128 rows
  EXPECT_EQ(tiled(512, 128, 512, DType::bf16), "xw");  // y sums over 128
  EXPECT_EQ(tiled(512, 512, 512, DType::f32), "yxw");
  EXPECT_EQ(tiled(512, 512, 255, DType::f32), "");
  EXPECT_EQ(tiled(512, 512, 256, DType::f32), "w");
  EXPECT_EQ(tiled(511, 768, 768, DType::f32), "");
  EXPECT_EQ(tiled(128, 768, 16384, DType::f32), "x");  // a vocabulary
  EXPECT_EQ(tiled(128, 768, 16383, DType::f32), "");
}

// What was measured to win: docs/benchmarks/cpu.md.
TEST_F(ProductChoiceOnCpu, OfBertBaseByTheRule) {
  const auto by_rule = [](DType dtype, ProductCpu cpu) {
    std::vector<ProductKernel> kernels;
    for (const ProductCall& call : calls_of_layer(1024, 768, 3072, dtype))
      kernels.push_back(product_kernel_by_rule(call, cpu));
    return kernels;
  };
  const ProductKernel plain = ProductKernel::onednn, packed = ProductKernel::onednn_packed;
  const ProductKernel tiles = ProductKernel::tiles;
  using Kernels = std::vector<ProductKernel>;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    EXPECT_EQ(by_rule(dtype, kZen4), (Kernels{tiles, tiles, tiles}));
    EXPECT_EQ(by_rule(dtype, {.bf16 = true}), (Kernels{plain, plain, plain}));
  }
  EXPECT_EQ(by_rule(DType::bf16, {.zen4 = true}), (Kernels{plain, plain, plain}));
  EXPECT_EQ(by_rule(DType::bf16, {.amx = true, .bf16 = true}), (Kernels{packed, packed, plain}));
  EXPECT_EQ(by_rule(DType::f32, {.amx = true, .bf16 = true}), (Kernels{plain, plain, plain}));
}

// Of every size: the rule asks for no kernel that the CPU does not have.
TEST_F(ProductChoiceOnCpu, TheRuleNamesKernelsThatTheCpuHas) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t size : {1, 128, 1024, 4096}) {
      for (const bool weight : {false, true}) {
        ProductCall call = call_of(size, size, size, dtype);
        call.b_is_weight = weight;
        const std::vector<ProductKernel> kernels = product_kernels(class_of(call));
        EXPECT_NE(std::find(kernels.begin(), kernels.end(), product_kernel_by_rule(call)),
                  kernels.end());
      }
    }
  }
}

TEST_F(ProductChoiceOnCpu, TwoClassesOfSizesLieInEachDoubling) {
  const std::pair<std::int64_t, std::int64_t> classes[] = {
      {1, 1},     {2, 2},     {3, 3},     {4, 4},     {5, 4},     {6, 6},     {7, 6},        {8, 8},
      {128, 128}, {154, 128}, {191, 128}, {192, 192}, {255, 192}, {256, 256}, {30522, 24576}};
  for (const auto& [size, begins] : classes) {
    EXPECT_EQ(size_class(size), begins) << size;
    EXPECT_EQ(size_class(begins), begins);
  }
}

TEST_F(ProductChoiceOnCpu, ATableDecidesForItsClassesAlone) {
  const ProductCall in = call_of(150, 400, 1000), alike = call_of(170, 500, 800),
                    larger = call_of(200, 400, 1000);
  ProductCall transposed = in, weight = in;
  transposed.shape.b_row = 1;
  transposed.shape.b_column = in.shape.k;
  weight.b_is_weight = true;
  for (const ProductKernel kernel : {ProductKernel::onednn, ProductKernel::tiles}) {
    set_product_table({{class_of(in), kernel}});
    EXPECT_EQ(choose_product_kernel(in), kernel);
    EXPECT_EQ(choose_product_kernel(alike), kernel);
    for (const ProductCall& other : {larger, transposed, weight}) {
      EXPECT_EQ(choose_product_kernel(other), product_kernel_by_rule(other));
    }
  }
  set_product_table({});
  EXPECT_EQ(choose_product_kernel(in), product_kernel_by_rule(in));
}

// Seen by what is recorded, and by the last bits: kernels add in different orders.
TEST_F(ProductChoiceOnCpu, TheTablesKernelMultiplies) {
  const std::int64_t m = 40, n = 72, k = 3000;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const ProductClass product = class_of(call_of(m, n, k, dtype));
    const std::vector<ProductKernel> kernels = product_kernels(product);
    if (kernels.size() < 2) GTEST_SKIP() << "this CPU has one kernel for products";
    const Tensor a = make_random({m, k}, 1, dtype), b = make_random({k, n}, 2, dtype);
    const auto product_by = [&](ProductKernel kernel) {
      set_product_table({{product, kernel}});
      const ProductRecording recording;
      Tensor c({m, n}, DType::f32);
      backend(c).matmul(c, a, b, {});
      EXPECT_EQ(recording.calls().size(), 1U);
      EXPECT_EQ(class_of(recording.calls().front()), product);
      return c;
    };
    const Tensor by_onednn = product_by(ProductKernel::onednn);
    const Tensor by_tiles = product_by(ProductKernel::tiles);
    EXPECT_FALSE(same_bits(by_onednn, by_tiles));
    EXPECT_TRUE(close(by_onednn, by_tiles, 1e-4));
    EXPECT_TRUE(same_bits(by_onednn, product_by(ProductKernel::onednn)));
  }
}

TEST_F(ProductChoiceOnCpu, EachKernelOfTheCpuIsTimedInEachTurn) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    ProductCall call = call_of(20, 30, 40, dtype);
    call.b_is_weight = true;
    const std::vector<KernelTimes> times = time_product(call, {.seconds = 0});
    const std::vector<ProductKernel> kernels = product_kernels(class_of(call));
    ASSERT_EQ(times.size(), kernels.size());
    for (std::size_t i = 0; i < times.size(); ++i) {
      EXPECT_EQ(times[i].kernel, kernels[i]);
      EXPECT_EQ(times[i].seconds.size(), times[0].seconds.size());
      EXPECT_GT(times[i].median(), 0);
      EXPECT_LE(times[i].least(), times[i].median());
    }
  }
}

TEST_F(ProductChoiceOnCpu, AnotherKernelMustBeFasterBeyondTheNoise) {
  const KernelTimes usual{.kernel = ProductKernel::onednn,
                          .seconds = {10, 11, 10, 14, 10, 10, 11, 10}};
  const auto chosen = [&](ProductKernel kernel, std::vector<double> seconds) {
    return faster_kernel(std::vector<KernelTimes>{usual, {kernel, std::move(seconds)}},
                         usual.kernel);
  };
  const auto tiles = ProductKernel::tiles, packed = ProductKernel::onednn_packed;
  EXPECT_EQ(chosen(tiles, {9, 10, 9, 13, 9, 9, 10, 9}), tiles);
  EXPECT_EQ(chosen(tiles, {9.9, 10.9, 9.9, 13.9, 9.9, 9.9, 10.9, 9.9}), usual.kernel);  // by 1%
  EXPECT_EQ(chosen(tiles, {9, 10, 12, 13, 12, 9, 14, 9}), usual.kernel);  // in half of the turns
  EXPECT_EQ(chosen(packed, {9.7, 10.7, 9.7, 13.6, 9.7, 9.7, 10.7, 9.7}), usual.kernel);  // by 3%
  EXPECT_EQ(chosen(packed, {9, 10, 9, 13, 9, 9, 10, 9}), packed);
}

}  // namespace
}  // namespace weft
