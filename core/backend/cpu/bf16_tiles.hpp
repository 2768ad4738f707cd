// The pieces of a bf16 product on CPUs with AVX512_BF16: operands interleaved in pairs, and tiles
// of the result.
//
// vdpbf16ps adds to each fp32 lane the product of two pairs of neighbours along the inner dim. So b
// is packed into panels of kPanelColumns columns, [pair][column], and of a one word, a pair, is
// spread over all lanes: a's rows are read where they are, unless a is stored transposed.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.hpp"

namespace weft {

constexpr std::int64_t kTileRows = 6, kPanelColumns = 64;  // 24 of 32 registers hold sums
constexpr std::int64_t kPackedRows = 96;                   // of a in one packed panel

// Whether this CPU has the instructions that all functions below need.
bool cpu_has_bf16_tiles();

// A matrix in bf16; strides count elements. One of them is 1.
struct Bf16Matrix {
  const bfloat16* data = nullptr;
  std::int64_t row = 0, column = 1;

  const bfloat16* at(std::int64_t i, std::int64_t j) const { return data + i * row + j * column; }
};

constexpr std::int64_t pairs_of(std::int64_t k) { return (k + 1) / 2; }

// b [k, columns], columns <= kPanelColumns, as pairs [pairs_of(k), kPanelColumns]; zero where b has
// nothing.
void pack_panel(std::uint32_t* panel, const Bf16Matrix& b, std::int64_t k, std::int64_t columns);

// a [rows, k] stored transposed, rows <= kPackedRows, as pairs [pairs_of(k), kPackedRows]; sums,
// unless null, receives the sum of each row.
void pack_rows(std::uint32_t* packed, float* sums, const Bf16Matrix& a, std::int64_t rows,
               std::int64_t k);

// Rows of a as multiply_tile() reads them: strides count bf16 elements.
struct TileRows {
  const bfloat16* data = nullptr;
  std::int64_t row = 0, pair = 2;
};

// sums [rows, kPanelColumns], sums_row elements apart, = or += a b over the inner elements [0, k)
// that a and panel point to; rows <= kTileRows. With odd k, a's last pair is read as a single
// element if its pairs are adjacent.
void multiply_tile(float* sums, std::int64_t sums_row, std::int64_t rows, const TileRows& a,
                   const std::uint32_t* panel, std::int64_t k, bool add);

// Where a tile goes: c, bf16 or f32, has columns [first, first + columns) of its rows written.
struct TileTarget {
  void* c = nullptr;
  std::int64_t c_row = 0;
  bool f32 = false, accumulate = false;
  const bfloat16* bias = nullptr;
};

// c [rows, columns] from row and column on = sums (+ bias) (+ c).
void write_tile(const TileTarget& target, const float* sums, std::int64_t row, std::int64_t column,
                std::int64_t rows, std::int64_t columns);

}  // namespace weft
