// sum_rows and squared_norms.
#include "core/backend/transfer.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

TEST(Reduce, SumsRows) {
  for (const DType dtype : test_dtypes()) {
    for (const Shape& shape : {Shape{1, 5}, Shape{15, 1}, Shape{67, 33}, Shape{1500, 70},
                               Shape{1500, 72}, Shape{40, 1000}}) {
      const Tensor aligned = make_random(shape, 1, dtype);
      for (const Tensor& x : {aligned, unaligned(aligned)}) {
        const std::vector<double> values = to_vector<double>(x);
        std::vector<double> expected(static_cast<std::size_t>(shape.last()));
        for (std::size_t i = 0; i < values.size(); ++i) expected[i % expected.size()] += values[i];
        Tensor y = make_empty({shape.last()});
        test_backend().sum_rows(y, x);
        EXPECT_TRUE(close(y, expected, 1e-6)) << shape.str();
      }
    }
  }
}

TEST(Reduce, SumOfNoRowsIsZero) {
  Tensor y = make_random({6}, 1);
  test_backend().sum_rows(y, make_empty({0, 6}));
  EXPECT_EQ(to_vector(y), std::vector<float>(6, 0.0F));
}

TEST(Reduce, SquaredNormIsExactToFp64) {
  for (const DType dtype : test_dtypes()) {
    for (const std::int64_t n : {0, 1, 5, 4096, 100'003}) {
      const Tensor x = make_random({n}, 2, dtype, 100);
      std::vector<double> expected = {0};
      for (const float v : to_vector(x)) expected[0] += double{v} * double{v};
      Tensor square = make_empty({1}, DType::f64);
      test_backend().squared_norms(square, {&x, 1});
      EXPECT_TRUE(close(square, expected, 1e-12)) << n;
    }
  }
}

// As a gradient's: more than fit one launch, of every dtype, some empty, some unaligned.
TEST(Reduce, SquaredNormsOfManyTensors) {
  std::vector<Tensor> xs;
  std::vector<double> expected;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const std::vector<DType> dtypes = test_dtypes();
    const auto n = static_cast<std::int64_t>(i % 7 == 3 ? 0 : i == 200 ? 40'000 : 3 * i + 1);
    xs.push_back(make_random({n}, i, dtypes[i % dtypes.size()]));
    if (i % 5 == 0) xs.back() = unaligned(xs.back());
    expected.push_back(0);
    for (const double v : to_vector<double>(xs.back())) expected.back() += v * v;
  }
  Tensor sums = make_empty({300}, DType::f64);
  test_backend().squared_norms(sums, xs);
  const std::vector<double> got = to_vector<double>(sums);
  EXPECT_TRUE(close(sums, expected, 1e-12));
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], 1e-12 * expected[i]) << i;
}

TEST(Reduce, SquaredNormDoesNotOverflowInFp32) {
  const Tensor x = to_tensor({3e30F, -4e30F}, {2});
  EXPECT_NEAR(squared_norms({x})[0], 2.5e61, 1e55);
}

TEST(Reduce, SquaredNormLetsNanAndInfinityThrough) {
  Tensor x = with_element(make_random({70'000}, 3), 69'999, INFINITY);
  EXPECT_EQ(squared_norms({x})[0], INFINITY);
  x = with_element(x, 4, NAN);
  EXPECT_TRUE(std::isnan(squared_norms({x})[0]));
}

TEST(Reduce, GivesTheSameBitsEveryTime) {
  for (const DType dtype : test_dtypes()) {
    const Tensor x = make_random({1001, 133}, 4, dtype);
    EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
      Tensor sums = make_empty({133}), square = make_empty({1}, DType::f64);
      test_backend().sum_rows(sums, x);
      test_backend().squared_norms(square, {&x, 1});
      return {sums, square};
    }));
  }
}

}  // namespace
}  // namespace weft
