// Cross entropy kernels: slices of a vocabulary, extreme logits, large vocabularies.
#include "core/backend/backend.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

const float kInf = std::numeric_limits<float>::infinity();

struct Result {
  Tensor sums = make_empty({2}), lse, dlogits;
  float loss() const { return to_vector(sums)[0]; }
};

// The loss over `slices` equal parts of the vocabulary, as that many tensor ranks compute it, and
// the gradient put together again.
Result run(const Tensor& logits, const Tensor& targets, std::int64_t slices = 1, float scale = 1) {
  const std::int64_t rows = logits.shape()[0], width = logits.shape()[1] / slices;
  const std::vector<float> all = to_vector(logits);
  Tensor parts = make_empty({slices, rows, 3}), factor = make_empty({1});
  test_backend().fill(factor, scale);
  std::vector<Tensor> slice;
  for (std::int64_t s = 0; s < slices; ++s) {
    std::vector<float> values;
    for (std::int64_t n = 0; n < rows; ++n) {
      const auto first = all.begin() + n * slices * width + s * width;
      values.insert(values.end(), first, first + width);
    }
    slice.push_back(to_tensor(values, {rows, width}, logits.dtype()));
    Tensor part = parts.narrow(s, 1);
    test_backend().cross_entropy_parts(part, slice.back(), targets, s * width);
  }
  Result r{.lse = make_empty({rows})};
  test_backend().cross_entropy_join(r.sums, r.lse, parts, targets);
  std::vector<float> dlogits(all.size());
  for (std::int64_t s = 0; s < slices; ++s) {
    Tensor& d = slice[static_cast<std::size_t>(s)];
    test_backend().cross_entropy_backward(d, d, targets, r.lse, factor, s * width);
    const std::vector<float> values = to_vector(d);
    for (std::int64_t i = 0; i < rows * width; ++i)
      dlogits[static_cast<std::size_t>(i / width * slices * width + s * width + i % width)] =
          values[static_cast<std::size_t>(i)];
  }
  r.dlogits = to_tensor(dlogits, logits.shape());
  return r;
}

TEST(CrossEntropy, SlicesOfTheVocabularyGiveTheSame) {
  const Tensor logits = make_random({5, 36}, 1, DType::f32, 5);
  const Tensor targets = make_indices({0, 35, -1, 17, 20});
  const Result whole = run(logits, targets);
  for (const std::int64_t slices : {2, 3, 4}) {
    const Result cut = run(logits, targets, slices);
    EXPECT_TRUE(close(cut.sums, whole.sums, 1e-6));
    EXPECT_TRUE(close(cut.lse, whole.lse, 1e-6));
    EXPECT_TRUE(close(cut.dlogits, whole.dlogits, 1e-6));
  }
}

// Rows of any width and beginning, ignored ones among them; the gradient in its own memory.
TEST(CrossEntropy, AgreesWithFp64AtEveryWidth) {
  constexpr float kScale = 0.5F;
  for (const DType dtype : test_dtypes()) {
    for (const std::int64_t V : {1, 7, 8, 33, 2049, 5000}) {
      for (const auto& [from, to] : {std::pair(0, 0), {1, 1}, {3, 0}}) {
        const std::int64_t N = 5;
        const Tensor logits = make_random({N * V + 3}, 1, dtype, 6).slice_flat(from, {N, V});
        Tensor dlogits = make_random({N * V + 3}, 2, dtype).slice_flat(to, {N, V});
        const std::vector<std::int32_t> columns = {0, static_cast<std::int32_t>(V - 1), -1,
                                                   static_cast<std::int32_t>(V / 2), 0};
        const Tensor targets = make_indices(columns);
        Tensor parts = make_empty({1, N, 3}), sums = make_empty({2}), lse = make_empty({N});
        test_backend().cross_entropy_parts(parts, logits, targets, 0);
        test_backend().cross_entropy_join(sums, lse, parts, targets);
        test_backend().cross_entropy_backward(dlogits, logits, targets, lse,
                                              to_tensor({kScale}, {1}), 0);

        const std::vector<double> x = to_vector<double>(logits);
        std::vector<double> want(x.size()), want_lse, want_sums(2);
        for (std::int64_t n = 0; n < N; ++n) {
          const std::int32_t target = columns[static_cast<std::size_t>(n)];
          const auto at = [&](std::int64_t c) { return static_cast<std::size_t>(n * V + c); };
          double sum = 0, highest = -INFINITY;
          for (std::int64_t c = 0; c < V; ++c) {
            sum += std::exp(x[at(c)]);
            highest = std::max(highest, x[at(c)]);
          }
          want_lse.push_back(target < 0 ? 0 : std::log(sum));
          if (target < 0) continue;
          want_sums[0] += std::log(sum) - x[at(target)];
          want_sums[1] += x[at(target)] == highest ? 1 : 0;
          for (std::int64_t c = 0; c < V; ++c)
            want[at(c)] = (std::exp(x[at(c)]) / sum - (c == target ? 1 : 0)) * double{kScale};
        }
        const std::string what = std::string(name_of(dtype)) + " V " + std::to_string(V);
        EXPECT_TRUE(close(sums, want_sums, 2e-6, 1e-6)) << what;
        EXPECT_TRUE(close(lse, want_lse, 2e-6, 1e-6)) << what;
        EXPECT_TRUE(close(dlogits, want, tolerance_of(dtype, 5e-6), 1e-6)) << what;
      }
    }
  }
}

TEST(CrossEntropy, NoRowsGiveALossOfZero) {
  Tensor parts = make_empty({1, 0, 3}), sums = make_random({2}, 1), lse = make_empty({0});
  Tensor logits = make_empty({0, 5});
  const Tensor targets = make_empty({0}, DType::i32);
  test_backend().cross_entropy_parts(parts, logits, targets, 0);
  test_backend().cross_entropy_join(sums, lse, parts, targets);
  test_backend().cross_entropy_backward(logits, logits, targets, lse, to_tensor({1}, {1}), 0);
  EXPECT_EQ(to_vector(sums), (std::vector<float>{0, 0}));
}

TEST(CrossEntropy, AVocabularyOf250000) {
  const std::int64_t V = 250'000;
  const Tensor logits = make_random({1, V}, 1, DType::f32, 10);
  double sum = 0;
  for (const float x : to_vector(logits)) sum += std::exp(double{x});
  const double expected = std::log(sum) - double{to_vector(logits)[249'999]};
  const Result r = run(logits, make_indices({249'999}));
  EXPECT_NEAR(r.loss(), expected, 1e-6 * expected);
  double total = 0;  // probabilities less one
  for (const float d : to_vector(r.dlogits)) total += double{d};
  EXPECT_NEAR(total, 0, 1e-6);
}

TEST(CrossEntropy, LargeLogitsDoNotOverflow) {
  const Result r = run(to_tensor({1e30F, -1e30F, 0, 500, 400, 499}, {2, 3}), make_indices({0, 2}));
  // Row 0: the target has all of the probability. Row 1: ln(1 + e^-1 + e^-100) + 1.
  EXPECT_NEAR(r.loss(), std::log1p(std::exp(-1.0)) + 1, 1e-6);
}

TEST(CrossEntropy, ForbiddenLogitsCountAsNothing) {
  // -inf is what padding of a vocabulary gets, a whole slice of it included.
  const Tensor logits = to_tensor({1, 2, -kInf, -kInf}, {1, 4});
  for (const std::int64_t slices : {1, 2}) {
    const Result r = run(logits, make_indices({0}), slices);
    EXPECT_NEAR(r.loss(), std::log1p(std::exp(1.0)), 1e-6) << slices;
    const double p = 1 / (1 + std::exp(1.0));
    EXPECT_TRUE(close(r.dlogits, std::vector<double>{p - 1, 1 - p, 0, 0}, 1e-6)) << slices;
  }
}

TEST(CrossEntropy, ATargetThatCannotBeHasInfiniteLoss) {
  EXPECT_EQ(run(to_tensor({1, -kInf}, {1, 2}), make_indices({1})).loss(), kInf);
  EXPECT_EQ(run(to_tensor({1, 2}, {1, 2}), make_indices({2})).loss(), kInf);  // out of range
}

TEST(CrossEntropy, NanAndInfinityGiveANanLoss) {
  const float nan = std::nanf("");
  EXPECT_TRUE(std::isnan(run(to_tensor({nan, nan, nan}, {1, 3}), make_indices({1})).loss()));
  EXPECT_TRUE(std::isnan(run(to_tensor({1, nan, 2}, {1, 3}), make_indices({0})).loss()));
  EXPECT_TRUE(std::isnan(run(to_tensor({1, kInf, 2}, {1, 3}), make_indices({0})).loss()));
  // An ignored row of NaN does no harm.
  const Result r = run(to_tensor({nan, nan, 1, 1}, {2, 2}), make_indices({-100, 0}));
  EXPECT_NEAR(r.loss(), std::log(2.0), 1e-6);
  EXPECT_EQ(to_vector(r.dlogits), (std::vector<float>{0, 0, -0.5F, 0.5F}));
}

TEST(CrossEntropy, ScalesTheGradient) {
  const Tensor logits = make_random({3, 7}, 1), targets = make_indices({0, 3, 6});
  std::vector<float> expected = to_vector(run(logits, targets).dlogits);
  for (float& d : expected) d *= -0.25F;
  EXPECT_TRUE(close(run(logits, targets, 1, -0.25F).dlogits, expected, 1e-6));
}

TEST(CrossEntropy, GivesTheSameBitsEveryTime) {
  for (const DType dtype : test_dtypes()) {
    for (const auto& [rows, columns] :
         {std::pair(31, 5003), {on_cpu() ? 3001 : 701, 11}}) {  // the join's many rows
      const Tensor logits = make_random({rows, columns}, 1, dtype, 6);
      std::vector<std::int32_t> values;
      for (int n = 0; n < rows; ++n) values.push_back(n % 5 == 0 ? -1 : n * 150 % columns);
      const Tensor targets = make_indices(values);
      EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
        const Result r = run(logits, targets);
        return {r.sums, r.lse, r.dlogits};
      }));
    }
  }
}

}  // namespace
}  // namespace weft
