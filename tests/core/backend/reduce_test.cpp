// sum_rows and squared_norms.
#include "core/backend/transfer.hpp"
#include "tests/core/backend/same_for_threads.hpp"

namespace weft {
namespace {

Backend& cpu() { return backend(Device{}); }

TEST(Reduce, SumsRows) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Shape& shape : {Shape{1, 5}, Shape{15, 1}, Shape{67, 33}, Shape{1500, 70}}) {
      const Tensor x = make_random(shape, 1, dtype);
      const std::vector<float> values = to_vector(x);
      std::vector<double> expected(static_cast<std::size_t>(shape.last()));
      for (std::size_t i = 0; i < values.size(); ++i)
        expected[i % expected.size()] += double{values[i]};
      Tensor y({shape.last()}, DType::f32);
      cpu().sum_rows(y, x);
      EXPECT_TRUE(close(y, expected, 1e-6)) << shape.str();
    }
  }
}

TEST(Reduce, SumOfNoRowsIsZero) {
  Tensor y = make_random({6}, 1);
  cpu().sum_rows(y, Tensor({0, 6}, DType::f32));
  EXPECT_EQ(to_vector(y), std::vector<float>(6, 0.0F));
}

TEST(Reduce, SquaredNormIsExactToFp64) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t n : {0, 1, 5, 4096, 100'003}) {
      const Tensor x = make_random({n}, 2, dtype, 100);
      double expected = 0;
      for (const float v : to_vector(x)) expected += double{v} * double{v};
      EXPECT_NEAR(squared_norms({x})[0], expected, 1e-12 * expected);
    }
  }
}

TEST(Reduce, SquaredNormDoesNotOverflowInFp32) {
  const Tensor x = to_tensor({3e30F, -4e30F}, {2});
  EXPECT_NEAR(squared_norms({x})[0], 2.5e61, 1e55);
}

TEST(Reduce, SquaredNormLetsNanAndInfinityThrough) {
  Tensor x = make_random({70'000}, 3);
  x.data<float>()[69'999] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(squared_norms({x})[0], std::numeric_limits<double>::infinity());
  x.data<float>()[4] = std::nanf("");
  EXPECT_TRUE(std::isnan(squared_norms({x})[0]));
}

TEST(Reduce, BitsDoNotDependOnThreads) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = make_random({1001, 133}, 4, dtype);
    EXPECT_TRUE(same_for_threads([&]() -> std::vector<Tensor> {
      Tensor sums({133}, DType::f32), square({1}, DType::f64);
      cpu().sum_rows(sums, x);
      cpu().squared_norms(square, {&x, 1});
      return {sums, square};
    }));
  }
}

}  // namespace
}  // namespace weft
