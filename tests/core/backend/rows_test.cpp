// Gathering rows and adding them back.
#include <gtest/gtest.h>

#include "core/backend/backend.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

TEST(GatherRows, CopiesRowsAndZeroesTheMissing) {
  for (const DType dtype : test_dtypes()) {
    const Tensor x = make_random({5, 3}, 1, dtype);
    const Tensor index = make_indices({12, 10, 10, 9, 15, 14, -1});
    Tensor y = make_empty({7, 3}, dtype);
    backend(y).gather_rows(y, x, index, 10);  // rows 10 to 14 of a table are here
    const std::vector<double> from = to_vector<double>(x);
    std::vector<double> want;
    for (const int row : {2, 0, 0, -1, -1, 4, -1}) {
      for (int c = 0; c < 3; ++c)
        want.push_back(row < 0 ? 0 : from[static_cast<std::size_t>(row * 3 + c)]);
    }
    EXPECT_TRUE(close(y, want, 0));
  }
}

TEST(GatherRows, CopiesWideRowsWhereverTheyBegin) {
  for (const DType dtype : test_dtypes()) {
    for (const std::int64_t columns : {16, 50, 1000}) {
      for (const std::int64_t offset : {0, 1, 2}) {  // so that 16, 2 and 4 bytes move together
        const Tensor all = make_random({7 * columns + 2}, 1, dtype);
        const Tensor x = all.slice_flat(offset, {7, columns});
        Tensor y = make_empty({9 * columns + 2}, dtype).slice_flat(offset, {9, columns});
        backend(y).gather_rows(y, x, make_indices({6, 0, 5, 1, 4, 2, 3, 3, 6}), 0);
        const std::int64_t rows[] = {6, 0, 5, 1, 4, 2, 3, 3, 6};
        for (std::int64_t n = 0; n < 9; ++n)
          EXPECT_TRUE(same_bits(y.narrow(n, 1), x.narrow(rows[n], 1))) << columns << ", " << n;
      }
    }
  }
}

TEST(CountUp, StartsAgainAfterEachPeriod) {
  for (const std::int64_t n : {0, 1, 7, 100'003}) {
    Tensor y = make_empty({n}, DType::i32);
    test_backend().count_up(y, 5, 3);
    std::vector<double> expected;
    for (std::int64_t i = 0; i < n; ++i) expected.push_back(static_cast<double>(i % 5 * 3));
    EXPECT_TRUE(close(y, expected, 0));
  }
}

// Random rows of [first, first + rows), some outside.
Tensor random_index(std::int64_t n, std::int64_t first, std::int64_t rows) {
  std::vector<std::int32_t> index;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto bits = philox_u32({.seed = 8}, static_cast<std::uint64_t>(i));
    index.push_back(
        static_cast<std::int32_t>(first - 2 + bits % static_cast<std::uint32_t>(rows + 4)));
  }
  return make_indices(index);
}

std::vector<double> added_rows(const Tensor& dy, const Tensor& index, std::int64_t first,
                               std::int64_t rows) {
  const std::int64_t columns = dy.shape().last();
  std::vector<double> sums(static_cast<std::size_t>(rows * columns));
  const std::vector<float> from = to_vector(dy);
  const std::vector<double> places = to_vector<double>(index);
  for (std::int64_t n = 0; n < index.numel(); ++n) {
    const auto row = static_cast<std::int64_t>(places[static_cast<std::size_t>(n)]) - first;
    if (row < 0 || row >= rows) continue;
    for (std::int64_t c = 0; c < columns; ++c)
      sums[static_cast<std::size_t>(row * columns + c)] +=
          from[static_cast<std::size_t>(n * columns + c)];
  }
  return sums;
}

TEST(ScatterAddRows, SumsInFp32AndZeroesTheRest) {
  for (const std::int64_t columns : {1, 3, 17, 100}) {
    for (const DType dtype : test_dtypes()) {
      const std::int64_t count = 400, rows = 11, first = 20;
      const Tensor dy = make_random({count, columns}, 1, dtype);
      const Tensor index = random_index(count, first, rows);
      Tensor dx = make_random({rows + 1, columns}, 2);  // row 11 is never hit
      dx = dx.narrow(0, rows);
      backend(dx).scatter_add_rows(dx, dy, index, first, false);
      EXPECT_TRUE(close(dx, added_rows(dy, index, first, rows), 1e-5));
    }
  }
}

// Most are the same few: padding, a mask token, a token type.
Tensor few_indices(std::int64_t count, std::int64_t rows) {
  std::vector<std::int32_t> index;
  for (std::int64_t n = 0; n < count; ++n) {
    const auto bits = philox_u32({.seed = 5}, static_cast<std::uint64_t>(n));
    const std::uint32_t kind = bits % 8;
    const std::int64_t any = bits / 8 % rows, often = kind < 6 ? rows - 1 : rows / 2;
    index.push_back(static_cast<std::int32_t>(kind == 0 ? any : kind == 1 ? -1 : often));
  }
  return make_indices(index);
}

void expect_sums(const Tensor& dy, const Tensor& index, std::int64_t rows) {
  Tensor dx = make_random({rows, dy.shape().last()}, 2);
  backend(dx).scatter_add_rows(dx, dy, index, 0, false);
  EXPECT_TRUE(close(dx, added_rows(dy, index, 0, rows), 1e-5))
      << dy.shape().str() << " into " << rows;
}

TEST(ScatterAddRows, SumsRowsThatManyPointTo) {
  struct Case {
    std::int64_t count, rows, columns;
  };
  for (const Case& c : {Case{4500, 2, 36}, Case{65, 1, 3}, Case{3000, 300, 130}}) {
    for (const DType dtype : test_dtypes()) {
      for (const std::int64_t offset : {0, 1}) {
        const Tensor memory = make_random({c.count * c.columns + 1}, 1, dtype);
        expect_sums(memory.slice_flat(offset, {c.count, c.columns}), few_indices(c.count, c.rows),
                    c.rows);
      }
    }
  }
}

// Into what was there, in any dtype of dy, with rows that many, few and no indices point to.
TEST(ScatterAddRows, AddsToWhatIsThere) {
  constexpr std::int64_t kRows = 9;
  for (const std::int64_t columns : {3, 36, 130}) {
    for (const DType dtype : test_dtypes()) {
      const Tensor dy = make_random({500, columns}, 1, dtype);
      const Tensor index = few_indices(500, kRows - 1);  // the last row is never hit
      const Tensor before = make_random({kRows, columns}, 2);
      Tensor dx = empty_like(before);
      backend(dx).copy(dx, before);
      backend(dx).scatter_add_rows(dx, dy, index, 0, true);
      std::vector<double> want = added_rows(dy, index, 0, kRows);
      const std::vector<float> held = to_vector(before);
      for (std::size_t i = 0; i < want.size(); ++i) want[i] += held[i];
      EXPECT_TRUE(close(dx, want, 1e-5));
      EXPECT_TRUE(same_bits(dx.narrow(kRows - 1, 1), before.narrow(kRows - 1, 1)));

      backend(dx).copy(dx, before);
      backend(dx).scatter_add_rows(dx, make_empty({0, columns}), make_empty({0}, DType::i32), 0,
                                   true);
      EXPECT_TRUE(same_bits(dx, before));
    }
  }
}

TEST(ScatterAddRows, SumsIntoManyRows) {
  expect_sums(make_random({2100, 1}, 1), few_indices(2100, 66'000), 66'000);
}

TEST(ScatterAddRows, NanComesThroughWhereItPoints) {
  const Tensor dy = with_element(make_random({200, 5}, 1), 700, NAN);  // row 140, column 0
  std::vector<std::int32_t> index(200, 1);
  index[140] = 2;
  Tensor dx = make_empty({4, 5});
  backend(dx).scatter_add_rows(dx, dy, make_indices(index), 0, false);
  const std::vector<float> got = to_vector(dx);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isnan(got[i]), i == 10) << i;
}

TEST(ScatterAddRows, UntouchedRowsAreZero) {
  Tensor dx = make_random({3, 2}, 1);
  backend(dx).scatter_add_rows(dx, make_random({1, 2}, 2), make_indices({1}), 0, false);
  const std::vector<float> got = to_vector(dx), from = to_vector(make_random({1, 2}, 2));
  EXPECT_EQ(got, (std::vector<float>{0, 0, from[0], from[1], 0, 0}));
  backend(dx).scatter_add_rows(dx, make_empty({0, 2}), make_empty({0}, DType::i32), 0, false);
  EXPECT_EQ(to_vector(dx), std::vector<float>(6, 0));
}

TEST(Rows, GivesTheSameBitsEveryTime) {
  EXPECT_TRUE(repeatable([]() -> std::vector<Tensor> {
    const Tensor dy = make_random({1000, 130}, 1), index = random_index(1000, 0, 50);
    Tensor dx = make_empty({50, 130}), y = make_empty({1000, 130});
    backend(dx).scatter_add_rows(dx, dy, index, 0, false);
    backend(dx).gather_rows(y, dx, index, 0);
    return {dx, y};
  }));
}

TEST(ScatterAddRows, UniqueRowsComeBackInTheirDtype) {
  for (const DType dtype : test_dtypes()) {
    const Tensor dy = make_random({2, 5}, 1, dtype);
    Tensor dx = make_empty({4, 5}, dtype);
    backend(dx).scatter_add_rows(dx, dy, make_indices({3, 1}), 0, false);
    EXPECT_TRUE(same_bits(dx.narrow(3, 1), dy.narrow(0, 1)));
    EXPECT_TRUE(same_bits(dx.narrow(1, 1), dy.narrow(1, 1)));
  }
}

}  // namespace
}  // namespace weft
