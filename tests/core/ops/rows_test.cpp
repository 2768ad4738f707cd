// Embedding and gather_rows.
#include "core/ops/rows.hpp"

#include "tests/core/expect_error.hpp"
#include "tests/core/ops/gradient_check.hpp"

namespace weft {
namespace {

TEST(Embedding, LooksUpAndAddsUp) {
  const Tensor ids = make_indices({2, 0, 2, 2, 4, 0}).reshape({2, 3});
  check_op({.inputs = {make_random({5, 3}, 1)},
            .op = [=](const auto& in) { return embedding(in[0], ids); },
            .reference =
                [](const auto& in) {
                  std::vector<double> y;
                  for (const std::size_t row : {2, 0, 2, 2, 4, 0})
                    y.insert(y.end(), &in[0][row * 3], &in[0][row * 3] + 3);
                  return y;
                }});
}

TEST(Embedding, APartOfTheVocabularyGivesZerosElsewhere) {
  const Tensor ids = make_indices({9, 10, 11, 12});
  check_op({.inputs = {make_random({2, 2}, 1)},
            .op = [=](const auto& in) { return embedding(in[0], ids, 10); },
            .reference =
                [](const auto& in) {
                  const auto& t = in[0];
                  return std::vector<double>{0, 0, t[0], t[1], t[2], t[3], 0, 0};
                }});
}

TEST(Embedding, ShapeAndDtypes) {
  const Var table(make_random({4, 3}, 1, DType::bf16), true);
  const Var y = embedding(table, make_indices({1, 2, 3, 0, 0, 1}).reshape({1, 2, 3}));
  EXPECT_EQ(y.shape(), (Shape{1, 2, 3, 3}));
  EXPECT_EQ(y.dtype(), DType::bf16);
  EXPECT_EQ(backward(y, make_random(y.shape(), 2, DType::bf16))[table].dtype(), DType::f32);
}

TEST(GatherRows, PicksRowsOfAllLeadingDims) {
  const Tensor index = make_indices({5, 0, 3});
  check_op({.inputs = {make_random({2, 3, 4}, 1)},
            .op = [=](const auto& in) { return gather_rows(in[0], index); },
            .reference =
                [](const auto& in) {
                  std::vector<double> y;
                  for (const std::size_t row : {5, 0, 3})
                    y.insert(y.end(), &in[0][row * 4], &in[0][row * 4] + 4);
                  return y;
                }});
}

TEST(GatherRows, NothingPickedGivesAZeroGradient) {
  const Var x(make_random({2, 3}, 1), true);
  const Var y = gather_rows(x, make_empty({0}, DType::i32));
  EXPECT_EQ(y.shape(), (Shape{0, 3}));
  EXPECT_EQ(to_vector(backward(y, empty_like(y.value()))[x]), std::vector<float>(6, 0));
}

TEST(Rows, MismatchesNameTheOp) {
  const Var table(make_empty({4, 3}));
  expect_error([&] { embedding(table, make_empty({2})); }, {"embedding", "[4, 3]", "f32"});
  expect_error([&] { embedding(Var(make_empty({4})), make_indices({1})); },
               {"embedding", "[4]", "[1]"});
  expect_error(
      [&] {
        gather_rows(table, make_indices({1, 2}).reshape({1, 2}));
      },
      {"gather_rows", "[4, 3]", "[1, 2]"});
}

}  // namespace
}  // namespace weft
