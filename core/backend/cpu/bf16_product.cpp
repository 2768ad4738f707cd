// Cutting a bf16 product into tiles, and the tiles among threads.
//
// A thread takes panels of 64 columns of c and packs each of b's just before it is used, so that
// the second-level cache feeds it to all tiles of 6 rows; meanwhile a streams through from wherever
// it is, at a byte per cycle or so. Where a is stored transposed, the roles change: threads pack a
// in blocks of 96 rows that stay in the second-level cache, and b's panels, packed once for all
// threads, stream by.
#include "core/backend/cpu/bf16_product.hpp"

#include <limits>

#include "core/backend/cpu/bf16_tiles.hpp"
#include "core/backend/cpu/loops.hpp"

namespace weft {

namespace {

// Inner elements that one pass over a block of rows takes: more of a panel would leave the
// second-level cache. Even, so that only the last pass can end in half a pair.
constexpr std::int64_t kDepth = 3072;

// Rows of a in place that go by while a panel of b stays; more would not stay near from one panel
// to the next.
constexpr std::int64_t kChunkRows = 1024;

constexpr std::int64_t count_of(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit; }

std::uint32_t* words_of(const Tensor& x) {
  return reinterpret_cast<std::uint32_t*>(x.data<std::int32_t>());
}

// Threads along the rows and along the columns of c.
struct Grid {
  std::int64_t rows = 1, columns = 1;
};

// The grid whose busiest thread has least to do. Beside its part of c, a thread packs either b's
// panels, each as long as kPackingB rows of the product take, or a's rows, each as long as
// kPackingA panels take.
Grid grid_of(const ProductShape& s, bool packs_a) {
  constexpr double kPackingB = 16, kPackingA = 0.25;
  const std::int64_t tiles = count_of(s.m, kTileRows), panels = count_of(s.n, kPanelColumns);
  Grid best;
  double least = std::numeric_limits<double>::max();
  for (std::int64_t rows = 1; rows <= std::min<std::int64_t>(s.threads, tiles); ++rows) {
    const std::int64_t columns = std::min(s.threads / rows, panels);
    const auto height = static_cast<double>(count_of(tiles, rows) * kTileRows);
    const auto width = static_cast<double>(count_of(panels, columns));
    const double work = packs_a ? height * (width + kPackingA) : (height + kPackingB) * width;
    if (work < least) {
      least = work;
      best = {rows, columns};
    }
  }
  return best;
}

class Bf16Product {
 public:
  Bf16Product(const ProductShape& shape, const Bf16Operands& operands)
      : s_(shape), x_(operands), a_{x_.a, s_.a_row, s_.a_column}, b_{x_.b, s_.b_row, s_.b_column} {}

  void run() const {
    const bool a_in_place = s_.a_column == 1 && x_.a_sums == nullptr;
    const Tensor b = a_in_place ? Tensor{} : packed_b();
    const Grid grid = grid_of(s_, !a_in_place);
    const int parts = static_cast<int>(grid.rows * grid.columns);
    const std::int64_t size = pairs_of(s_.k) * (a_in_place ? kPanelColumns : kPackedRows);
    const Tensor scratch({parts * size}, DType::i32);
    const auto part = [&](int p) {
      const Range rows = range(s_.m, kTileRows, p / grid.columns, grid.rows);
      const Range columns = range(s_.n, kPanelColumns, p % grid.columns, grid.columns);
      std::uint32_t* const packed = words_of(scratch) + p * size;
      if (a_in_place) {
        multiply_in_place(rows, columns, packed);
      } else {
        multiply_packed(rows, columns, words_of(b), packed);
      }
    };
    if (parts == 1) return part(0);
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int p = 0; p < parts; ++p) part(p);
  }

 private:
  struct Range {
    std::int64_t first, last;
  };

  // Part i of [0, n) cut into so many, at multiples of `unit`.
  static Range range(std::int64_t n, std::int64_t unit, std::int64_t i, std::int64_t parts) {
    const std::int64_t units = count_of(n, unit);
    return {std::min(n, units * i / parts * unit), std::min(n, units * (i + 1) / parts * unit)};
  }

  std::int64_t panel_size() const { return pairs_of(s_.k) * kPanelColumns; }

  void pack_b(std::uint32_t* panel, std::int64_t column) const {
    pack_panel(panel, {b_.at(0, column), b_.row, b_.column}, s_.k,
               std::min(kPanelColumns, s_.n - column));
  }

  Tensor packed_b() const {
    const std::int64_t count = count_of(s_.n, kPanelColumns);
    const Tensor b({count * panel_size()}, DType::i32);
    const auto pack = [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i)
        pack_b(words_of(b) + i * panel_size(), i * kPanelColumns);
    };
    if (s_.threads == 1) {
      pack(0, count);
    } else {
      parallel_ranges(count, panel_size(), pack);
    }
    return b;
  }

  void multiply_in_place(Range rows, Range columns, std::uint32_t* panel) const {
    const std::int64_t height = s_.k > kDepth ? kPackedRows : kTileRows;
    for (std::int64_t chunk = rows.first; chunk < rows.last; chunk += kChunkRows) {
      const std::int64_t end = std::min(chunk + kChunkRows, rows.last);
      for (std::int64_t j = columns.first; j < columns.last; j += kPanelColumns) {
        pack_b(panel, j);
        for (std::int64_t i = chunk; i < end; i += height)
          multiply_block({i, std::min(i + height, end)}, j, {a_.at(i, 0), a_.row, 2}, panel);
      }
    }
  }

  // The sums of a's rows come from the threads of the first columns.
  void multiply_packed(Range rows, Range columns, const std::uint32_t* panels,
                       std::uint32_t* packed) const {
    const bool sums = x_.a_sums != nullptr && columns.first == 0;
    for (std::int64_t i = rows.first; i < rows.last; i += kPackedRows) {
      const Range block{i, std::min(i + kPackedRows, rows.last)};
      pack_rows(packed, sums ? x_.a_sums + i : nullptr, {a_.at(i, 0), a_.row, a_.column},
                block.last - i, s_.k);
      const TileRows a{reinterpret_cast<const bfloat16*>(packed), 2, 2 * kPackedRows};
      for (std::int64_t j = columns.first; j < columns.last; j += kPanelColumns)
        multiply_block(block, j, a, panels + j / kPanelColumns * panel_size());
    }
  }

  // At most kPackedRows rows and one panel; `a` begins at the first row.
  void multiply_block(Range rows, std::int64_t column, const TileRows& a,
                      const std::uint32_t* panel) const {
    alignas(64) float buffer[kPackedRows * kPanelColumns];
    const std::int64_t height = rows.last - rows.first;
    const std::int64_t width = std::min(kPanelColumns, s_.n - column);
    // A whole panel of f32 collects its own sums.
    const bool direct = s_.c_dtype == DType::f32 && width == kPanelColumns && x_.bias == nullptr;
    float* const sums =
        direct ? static_cast<float*>(x_.c) + rows.first * s_.c_row + column : buffer;
    const std::int64_t sums_row = direct ? s_.c_row : kPanelColumns;
    for (std::int64_t k = 0; k < s_.k; k += kDepth) {
      for (std::int64_t i = 0; i < height; i += kTileRows) {
        multiply_tile(sums + i * sums_row, sums_row, std::min(kTileRows, height - i),
                      {a.data + i * a.row + k / 2 * a.pair, a.row, a.pair},
                      panel + k / 2 * kPanelColumns, std::min(kDepth, s_.k - k),
                      k > 0 || (direct && s_.accumulate));
      }
    }
    if (direct) return;
    write_tile({.c = x_.c,
                .c_row = s_.c_row,
                .f32 = s_.c_dtype == DType::f32,
                .accumulate = s_.accumulate,
                .bias = x_.bias},
               sums, rows.first, column, height, width);
  }

  ProductShape s_;
  Bf16Operands x_;
  Bf16Matrix a_, b_;
};

}  // namespace

void bf16_product(const ProductShape& shape, const Bf16Operands& operands) {
  Bf16Product(shape, operands).run();
}

}  // namespace weft
