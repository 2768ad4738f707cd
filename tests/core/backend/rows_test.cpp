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
    const std::vector<float> from = to_vector(x), got = to_vector(y);
    const int rows[] = {2, 0, 0, -1, -1, 4, -1};
    for (std::size_t n = 0; n < 7; ++n) {
      for (std::size_t c = 0; c < 3; ++c) {
        const float want = rows[n] < 0 ? 0 : from[static_cast<std::size_t>(rows[n]) * 3 + c];
        EXPECT_EQ(got[n * 3 + c], want) << n << ", " << c;
      }
    }
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

TEST(ScatterAddRows, SumsInFp32AndZeroesTheRest) {
  for (const std::int64_t columns : {1, 3, 17, 100}) {
    for (const DType dtype : test_dtypes()) {
      const std::int64_t count = 400, rows = 11, first = 20;
      const Tensor dy = make_random({count, columns}, 1, dtype);
      const Tensor index = random_index(count, first, rows);
      Tensor dx = make_random({rows + 1, columns}, 2);  // row 11 is never hit
      dx = dx.narrow(0, rows);
      backend(dx).scatter_add_rows(dx, dy, index, first);
      std::vector<double> want(static_cast<std::size_t>(rows * columns));
      const std::vector<float> from = to_vector(dy), places = to_vector(index);
      for (std::int64_t n = 0; n < count; ++n) {
        const auto row = static_cast<std::int64_t>(places[static_cast<std::size_t>(n)]) - first;
        if (row < 0 || row >= rows) continue;
        for (std::int64_t c = 0; c < columns; ++c)
          want[static_cast<std::size_t>(row * columns + c)] +=
              from[static_cast<std::size_t>(n * columns + c)];
      }
      EXPECT_TRUE(close(dx, want, 1e-5));
    }
  }
}

TEST(ScatterAddRows, UntouchedRowsAreZero) {
  Tensor dx = make_random({3, 2}, 1);
  backend(dx).scatter_add_rows(dx, make_random({1, 2}, 2), make_indices({1}), 0);
  const std::vector<float> got = to_vector(dx), from = to_vector(make_random({1, 2}, 2));
  EXPECT_EQ(got, (std::vector<float>{0, 0, from[0], from[1], 0, 0}));
  backend(dx).scatter_add_rows(dx, make_empty({0, 2}), make_empty({0}, DType::i32), 0);
  EXPECT_EQ(to_vector(dx), std::vector<float>(6, 0));
}

TEST(Rows, GivesTheSameBitsEveryTime) {
  EXPECT_TRUE(repeatable([]() -> std::vector<Tensor> {
    const Tensor dy = make_random({1000, 130}, 1), index = random_index(1000, 0, 50);
    Tensor dx = make_empty({50, 130}), y = make_empty({1000, 130});
    backend(dx).scatter_add_rows(dx, dy, index, 0);
    backend(dx).gather_rows(y, dx, index, 0);
    return {dx, y};
  }));
}

TEST(ScatterAddRows, UniqueRowsComeBackInTheirDtype) {
  for (const DType dtype : test_dtypes()) {
    const Tensor dy = make_random({2, 5}, 1, dtype);
    Tensor dx = make_empty({4, 5}, dtype);
    backend(dx).scatter_add_rows(dx, dy, make_indices({3, 1}), 0);
    EXPECT_TRUE(same_bits(dx.narrow(3, 1), dy.narrow(0, 1)));
    EXPECT_TRUE(same_bits(dx.narrow(1, 1), dy.narrow(1, 1)));
  }
}

}  // namespace
}  // namespace weft
