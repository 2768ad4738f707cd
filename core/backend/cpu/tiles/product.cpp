// Cutting a product into tiles, and the tiles among threads.
//
// A thread takes panels of 64 columns of c and packs each of b's just before it is used, so that
// the second-level cache feeds it to all tiles of 6 rows; meanwhile a streams through from wherever
// it is, at a byte per cycle or so. Where a is stored transposed, the roles change: threads pack a
// in blocks of 96 rows that stay in the second-level cache, and b's panels, packed once for all
// threads, stream by.
#include "core/backend/cpu/tiles/product.hpp"

#include <limits>

#include "core/backend/cpu/loops.hpp"
#include "core/backend/cpu/tiles/tiles.hpp"
#include "core/base/part.hpp"

namespace weft {

namespace {

// Words of the inner dim that one pass over rows takes: more of a panel would leave the
// second-level cache.
constexpr std::int64_t kDepth = 1536;

// Rows of a in place that go by while a panel of b stays, whole tiles of them; more would not stay
// near from one panel to the next.
constexpr std::int64_t kChunkRows = 1026;

constexpr std::int64_t kWordBytes = sizeof(std::uint32_t);

constexpr std::int64_t count_of(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit; }

std::uint32_t* data_of(const Tensor& x) {
  return reinterpret_cast<std::uint32_t*>(x.data<std::int32_t>());
}

// How c is cut into units: its rows into `rows` parts, its panels of columns into `columns`.
struct Grid {
  std::int64_t rows = 1, columns = 1;
};

// The grid that is done first by so many threads if all are as fast. Beside its part of c, a unit
// packs either a panel of b, which takes as long as kPackingB rows of the product, or its rows of
// a, which takes as long as kPackingA panels.
Grid grid_of(const ProductShape& s, bool packs_a) {
  constexpr double kPackingB = 16, kPackingA = 0.25;
  const std::int64_t tiles = count_of(s.m, kTileRows), panels = count_of(s.n, kPanelColumns);
  const std::int64_t least_rows = count_of(s.m, packs_a ? kPackedRows : kChunkRows);
  Grid best;
  double least = std::numeric_limits<double>::max();
  const auto consider = [&](std::int64_t rows, std::int64_t columns) {
    const auto turns = static_cast<double>(count_of(rows * columns, s.threads));
    const auto height = static_cast<double>(count_of(tiles, rows) * kTileRows);
    const auto width = static_cast<double>(count_of(panels, columns));
    const double work =
        turns * (packs_a ? height * (width + kPackingA) : (height + kPackingB) * width);
    if (work < least) {
      least = work;
      best = {rows, columns};
    }
  };
  for (std::int64_t rows = least_rows; rows <= std::min(least_rows + s.threads - 1, tiles);
       ++rows) {
    if (!packs_a) {
      consider(rows, panels);
      continue;
    }
    for (std::int64_t columns = 1; columns <= std::min<std::int64_t>(s.threads, panels); ++columns)
      consider(rows, columns);
  }
  return best;
}

class TiledProduct {
 public:
  TiledProduct(const ProductShape& shape, const TiledOperands& operands)
      : s_(shape),
        x_(operands),
        tiles_(*tile_kernels(s_.dtype)),
        a_(operand(x_.a, s_.a_row, s_.a_column)),
        b_(operand(x_.b, s_.b_row, s_.b_column)),
        words_(tiles_.words_of(s_.k)) {}

  void run() const {
    if (s_.a_column == 1 && x_.a_sums == nullptr) {
      run_in_place();
    } else {
      run_packed();
    }
  }

 private:
  TileOperand operand(const void* data, std::int64_t row, std::int64_t column) const {
    return {static_cast<const std::byte*>(data), row * tiles_.number_bytes,
            column * tiles_.number_bytes};
  }

  // Calls multiply(rows, columns, scratch) for each unit of the grid, with so many words of
  // scratch. A thread takes the next unit when it is done with one, so that nobody waits for long
  // for a thread whose core has been slowed.
  template <class Multiply>
  void by_units(const Grid& grid, std::int64_t scratch_words, const Multiply& multiply) const {
    const std::int64_t units = grid.rows * grid.columns;
    const int threads = static_cast<int>(std::min<std::int64_t>(s_.threads, units));
    const Tensor scratch({threads * scratch_words}, DType::i32);
    const auto unit = [&](std::int64_t i, int thread) {
      multiply(part_of(s_.m, kTileRows, i / grid.columns, grid.rows),
               part_of(s_.n, kPanelColumns, i % grid.columns, grid.columns),
               data_of(scratch) + thread * scratch_words);
    };
    if (threads == 1) {
      for (std::int64_t i = 0; i < units; ++i) unit(i, 0);
      return;
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (std::int64_t i = 0; i < units; ++i) unit(i, omp_get_thread_num());
  }

  // Columns from `column` on, words [first, last) of the inner dim.
  void pack_b(std::uint32_t* panel, std::int64_t column, std::int64_t first,
              std::int64_t last) const {
    tiles_.pack_panel(panel, {b_.at(numbers(first), column), b_.row, b_.column},
                      numbers(last) - numbers(first), std::min(kPanelColumns, s_.n - column));
  }

  void run_in_place() const {
    const std::int64_t panel_size = std::min(words_, kDepth) * kPanelColumns;
    const std::int64_t sums_size = (words_ > kDepth ? kChunkRows : kTileRows) * kPanelColumns;
    by_units(grid_of(s_, false), panel_size + sums_size,
             [&](Part rows, Part columns, std::uint32_t* scratch) {
               multiply_in_place(rows, columns.first, scratch,
                                 reinterpret_cast<float*>(scratch + panel_size));
             });
  }

  // Rows by one panel. Each part of the panel stays near for all rows; a longer one leaves the sums
  // of all rows to the next part.
  void multiply_in_place(Part rows, std::int64_t column, std::uint32_t* panel,
                         float* buffer) const {
    const Sums sums = sums_at(rows.first, column, buffer);
    const std::int64_t next = sums.direct || words_ > kDepth ? sums.row : 0;
    for (std::int64_t word = 0; word < words_; word += kDepth) {
      const std::int64_t end = std::min(word + kDepth, words_);
      pack_b(panel, column, word, end);
      for (std::int64_t i = rows.first; i < rows.last; i += kTileRows) {
        float* const tile = sums.data + (i - rows.first) * next;
        const std::int64_t height = std::min(kTileRows, rows.last - i);
        tiles_.multiply_tile(tile, sums.row, height, {a_.at(i, numbers(word)), a_.row, kWordBytes},
                             panel, numbers(end) - numbers(word),
                             word > 0 || (sums.direct && s_.accumulate));
        if (end == words_ && !sums.direct) write(tile, i, column, height);
      }
    }
  }

  void run_packed() const {
    const std::int64_t panels = count_of(s_.n, kPanelColumns);
    const Tensor b({panels * words_ * kPanelColumns}, DType::i32);
    const auto pack = [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i)
        pack_b(panel_of(b, i), i * kPanelColumns, 0, words_);
    };
    if (s_.threads == 1) {
      pack(0, panels);
    } else {
      parallel_ranges(panels, words_ * kPanelColumns, pack);
    }
    by_units(grid_of(s_, true), words_ * kPackedRows,
             [&](Part rows, Part columns, std::uint32_t* packed) {
               multiply_packed(rows, columns, b, packed);
             });
  }

  // At most kPackedRows rows. Their sums come with the first columns.
  void multiply_packed(Part rows, Part columns, const Tensor& b, std::uint32_t* packed) const {
    float* const a_sums =
        x_.a_sums != nullptr && columns.first == 0 ? x_.a_sums + rows.first : nullptr;
    tiles_.pack_rows(packed, a_sums, {a_.at(rows.first, 0), a_.row, a_.column},
                     rows.last - rows.first, s_.k);
    for (std::int64_t j = columns.first; j < columns.last; j += kPanelColumns)
      multiply_packed_by_panel(rows, j, packed, panel_of(b, j / kPanelColumns));
  }

  void multiply_packed_by_panel(Part rows, std::int64_t column, const std::uint32_t* packed,
                                const std::uint32_t* panel) const {
    alignas(64) float buffer[kPackedRows * kPanelColumns];
    const Sums sums = sums_at(rows.first, column, buffer);
    const std::int64_t height = rows.last - rows.first;
    for (std::int64_t word = 0; word < words_; word += kDepth) {
      const std::int64_t end = std::min(word + kDepth, words_);
      for (std::int64_t i = 0; i < height; i += kTileRows) {
        const auto* const a = reinterpret_cast<const std::byte*>(packed + word * kPackedRows + i);
        tiles_.multiply_tile(sums.data + i * sums.row, sums.row, std::min(kTileRows, height - i),
                             {a, kWordBytes, kWordBytes * kPackedRows},
                             panel + word * kPanelColumns, numbers(end) - numbers(word),
                             word > 0 || (sums.direct && s_.accumulate));
      }
    }
    if (!sums.direct) write(buffer, rows.first, column, height);
  }

  // Where the sums of rows and of one panel are collected: in c itself if that is a whole panel in
  // fp32 and nothing else is to be added, or in a buffer.
  struct Sums {
    float* data;
    std::int64_t row;
    bool direct;
  };
  Sums sums_at(std::int64_t row, std::int64_t column, float* buffer) const {
    const bool direct =
        s_.c_dtype == DType::f32 && s_.n - column >= kPanelColumns && x_.bias == nullptr;
    if (!direct) return {buffer, kPanelColumns, false};
    return {static_cast<float*>(x_.c) + row * s_.c_row + column, s_.c_row, true};
  }

  void write(const float* sums, std::int64_t row, std::int64_t column, std::int64_t height) const {
    tiles_.write_tile({.c = x_.c,
                       .c_row = s_.c_row,
                       .f32 = s_.c_dtype == DType::f32,
                       .accumulate = s_.accumulate,
                       .bias = x_.bias},
                      sums, row, column, height, std::min(kPanelColumns, s_.n - column));
  }

  // The first so many words of the inner dim hold so many of its numbers.
  std::int64_t numbers(std::int64_t words) const {
    return std::min(words * tiles_.word_numbers, s_.k);
  }

  std::uint32_t* panel_of(const Tensor& b, std::int64_t i) const {
    return data_of(b) + i * words_ * kPanelColumns;
  }

  ProductShape s_;
  TiledOperands x_;
  const TileKernels& tiles_;
  TileOperand a_, b_;
  std::int64_t words_;  // of the inner dim
};

}  // namespace

void tiled_product(const ProductShape& shape, const TiledOperands& operands) {
  TiledProduct(shape, operands).run();
}

}  // namespace weft
