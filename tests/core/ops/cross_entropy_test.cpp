// The cross entropy op.
#include "core/ops/cross_entropy.hpp"

#include "core/base/error.hpp"
#include "tests/core/ops/gradient_check.hpp"

namespace weft {
namespace {

std::vector<double> loss_of(const std::vector<double>& logits, const Tensor& targets) {
  const std::vector<float> places = to_vector(targets);
  const std::size_t rows = places.size();
  const std::size_t columns = logits.size() / rows;
  double loss = 0;
  for (std::size_t n = 0; n < rows; ++n) {
    if (places[n] < 0) continue;
    const double* const row = logits.data() + n * columns;
    const double maximum = *std::max_element(row, row + columns);
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += std::exp(row[c] - maximum);
    loss += maximum + std::log(sum) - row[static_cast<std::size_t>(places[n])];
  }
  return {loss};
}

TEST(CrossEntropyOp, AgreesWithItsDefinition) {
  const Tensor targets = make_indices({3, -100, 0, 12, -1});
  check_op({.inputs = {make_random({5, 13}, 1, DType::f32, 4)},
            .op = [=](const auto& in) { return cross_entropy(in[0], targets).loss; },
            .reference = [=](const auto& in) { return loss_of(in[0], targets); }});
}

TEST(CrossEntropyOp, TakesRowsLongerThanABlock) {
  const Tensor targets = make_indices({0, 2999});
  check_op({.inputs = {make_random({2, 3001}, 1, DType::f32, 8)},
            .op = [=](const auto& in) { return cross_entropy(in[0], targets).loss; },
            .reference = [=](const auto& in) { return loss_of(in[0], targets); },
            .half_tolerance = 4e-2});
}

TEST(CrossEntropyOp, CountsTargetsWithTheHighestLogit) {
  const Tensor logits = to_tensor({1, 5, 2, 9, 0, 3, 4, 4, 1, 7, 7, 8}, {4, 3});
  EXPECT_EQ(to_vector(cross_entropy(Var(logits), make_indices({1, 2, 0, -1})).correct),
            std::vector<float>{2});  // row 2: a tie counts; row 3: ignored
}

TEST(CrossEntropyOp, IgnoredRowsHaveNoLossAndNoGradient) {
  const Var logits(make_random({2, 7}, 1), true);
  const CrossEntropy ce = cross_entropy(logits, make_indices({-100, -1}));
  EXPECT_EQ(to_vector(ce.loss.value()), std::vector<float>{0});
  EXPECT_EQ(to_vector(ce.correct), std::vector<float>{0});
  EXPECT_EQ(to_vector(backward(ce.loss)[logits]), std::vector<float>(14, 0.0F));
}

TEST(CrossEntropyOp, GradientTakesTheLogitsMemory) {
  const Var logits(make_random({3, 5}, 1), true);
  const CrossEntropy ce = cross_entropy(logits, make_indices({0, 1, 2}));
  EXPECT_EQ(backward(ce.loss)[logits].raw(), logits.value().raw());
}

TEST(CrossEntropyOp, TakesNoRows) {
  const CrossEntropy ce = cross_entropy(Var(make_empty({0, 5}), true), make_indices({}));
  EXPECT_EQ(to_vector(ce.loss.value()), std::vector<float>{0});
}

TEST(CrossEntropyOp, ErrorsNameOpAndShapes) {
  const Var logits(make_random({2, 7}, 1));
  try {
    cross_entropy(logits, make_indices({1, 2, 3}));
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), "cross_entropy: targets [3] i32 do not fit logits [2, 7] f32");
  }
  EXPECT_THROW(cross_entropy(logits, make_random({2}, 1)), Error);
}

}  // namespace
}  // namespace weft
