// The dropout kernel.
#include "core/backend/backend.hpp"
#include "tests/core/backend/dropout_reference.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

const Dropout kDropout{
    .p = 0.1F, .key = {.seed = 7, .step = 3, .place = 2}, .first_element = 1'234'567};

// The mask is the same on every device, and so is one multiplication. A pack begins with a group of
// Philox or within one, and the group's number reaches the counter's second word.
TEST(Dropout, KeepsByTheElementsPhiloxNumber) {
  Dropout dropout = kDropout;
  for (const std::uint64_t first :
       {std::uint64_t{1'234'567}, std::uint64_t{1'234'568}, (std::uint64_t{1} << 34) - 8}) {
    dropout.first_element = first;
    for (const DType dtype : test_dtypes()) {
      for (const std::int64_t n : {0, 1, 5, 1023, 1024, 3001}) {
        const Tensor aligned = make_random({n}, 1, dtype);
        for (const Tensor& x : {aligned, unaligned(aligned)}) {
          std::vector<double> expected = to_vector<double>(x);
          for (std::size_t i = 0; i < expected.size(); ++i)
            expected[i] *= dropout_factor(dropout, i);
          Tensor y = empty_like(x);
          test_backend().dropout(y, x, dropout);
          EXPECT_TRUE(close(y, expected, tolerance_of(dtype, 1e-6)));
          const std::vector<float> got = to_vector(y);
          for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i] == 0, expected[i] == 0);
          Tensor in_place = to_dtype(x, dtype);
          test_backend().dropout(in_place, in_place, dropout);
          EXPECT_TRUE(same_bits(in_place, y));
        }
      }
    }
  }
}

TEST(Dropout, DropsItsShare) {
  const std::int64_t n = 1'000'000;
  Tensor x = make_empty({n});
  test_backend().fill(x, 1);
  for (const float p : {0.1F, 0.5F}) {
    Tensor y = empty_like(x);
    test_backend().dropout(y, x, {.p = p, .key = {.seed = 1}});
    double dropped = 0;
    for (const float v : to_vector(y)) dropped += v == 0 ? 1 : 0;
    // Five standard deviations of a binomial count.
    EXPECT_NEAR(dropped, n * p, 5 * std::sqrt(n * p * (1 - p)));
  }
}

TEST(Dropout, OfZeroIsTheIdentity) {
  const Tensor x = make_random({33}, 1, DType::bf16);
  Tensor y = empty_like(x);
  test_backend().dropout(y, x, {});
  EXPECT_TRUE(same_bits(y, x));
}

// A captured step is right in other steps too.
TEST(Dropout, TakesTheStepFromTheDevice) {
  const Tensor x = make_random({1000}, 1);
  Tensor expected = empty_like(x), y = empty_like(x);
  test_backend().dropout(expected, x, kDropout);
  Dropout other = kDropout;
  other.key.step = 99;
  other.step = make_indices({3});
  test_backend().dropout(y, x, other);
  EXPECT_TRUE(same_bits(y, expected));
}

TEST(Dropout, GivesTheSameBitsEveryTime) {
  for (const DType dtype : test_dtypes()) {
    const Tensor x = make_random({100'003}, 1, dtype);
    EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
      Tensor y = empty_like(x);
      test_backend().dropout(y, x, kDropout);
      return {y};
    }));
  }
}

}  // namespace
}  // namespace weft
