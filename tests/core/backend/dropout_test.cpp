// The dropout kernel.
#include "core/backend/backend.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

const Dropout kDropout{
    .p = 0.1F, .key = {.seed = 7, .step = 3, .place = 2}, .first_element = 1'234'567};

TEST(Dropout, KeepsByTheElementsPhiloxNumber) {
  for (const std::int64_t n : {1, 5, 1023, 1024, 3001}) {
    const Tensor x = make_random({n}, 1);
    std::vector<float> expected = to_vector(x);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const bool kept =
          philox_u32(kDropout.key, kDropout.first_element + i) >= drop_threshold(kDropout.p);
      expected[i] *= kept ? 1 / (1 - kDropout.p) : 0;
    }
    Tensor y = empty_like(x);
    test_backend().dropout(y, x, kDropout);
    EXPECT_TRUE(same_bits(y, to_tensor(expected, {n})));
    Tensor in_place = to_dtype(x, DType::f32);
    test_backend().dropout(in_place, in_place, kDropout);
    EXPECT_TRUE(same_bits(in_place, y));
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
