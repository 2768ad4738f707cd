// The pieces of a matrix product on CPUs with AVX-512: operands packed in words of 32 bits, and
// tiles of the result.
//
// A word is one fp32 number, or two bf16 numbers that are neighbours along the inner dim, whose
// products with another two vdpbf16ps adds up. b is packed into panels of kPanelColumns columns,
// [word][column], and of a one word is spread over all lanes: a's rows are read where they are,
// unless a is stored transposed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/dtype.hpp"

namespace weft {

constexpr std::int64_t kTileRows = 6, kPanelColumns = 64;  // 24 of 32 registers hold sums
constexpr std::int64_t kPackedRows = 96;                   // of a in one packed panel

// Numbers of fp32 or bf16; strides count bytes. One of the two leads to the next number in memory.
struct TileOperand {
  const std::byte* data = nullptr;
  std::int64_t row = 0, column = 0;

  const std::byte* at(std::int64_t i, std::int64_t j) const { return data + i * row + j * column; }
};

// Rows of a as they are multiplied: strides count bytes.
struct TileRows {
  const std::byte* data = nullptr;
  std::int64_t row = 0, word = 0;
};

// Where sums go: c, in fp32 or in the operands' dtype.
struct TileTarget {
  void* c = nullptr;
  std::int64_t c_row = 0;
  bool f32 = false, accumulate = false;
  const void* bias = nullptr;  // in the operands' dtype, or none
};

// For operands of one dtype.
struct TileKernels {
  std::int64_t number_bytes = 0;  // of one number of the operands
  std::int64_t word_numbers = 0;  // in a word

  std::int64_t words_of(std::int64_t k) const { return (k + word_numbers - 1) / word_numbers; }

  // b [k, columns], columns <= kPanelColumns, as words [words_of(k), kPanelColumns]; zero where b
  // has nothing.
  void (*pack_panel)(std::uint32_t* panel, const TileOperand& b, std::int64_t k,
                     std::int64_t columns) = nullptr;

  // a [rows, k] stored transposed, rows <= kPackedRows, as words [words_of(k), kPackedRows]; sums,
  // unless null, receives the sum of each row.
  void (*pack_rows)(std::uint32_t* packed, float* sums, const TileOperand& a, std::int64_t rows,
                    std::int64_t k) = nullptr;

  // sums [rows, kPanelColumns], sums_row elements apart, = or += a b over the inner numbers [0, k)
  // that a and panel point to; rows <= kTileRows. Of a's last word only what k has of it is read,
  // if its words are adjacent.
  void (*multiply_tile)(float* sums, std::int64_t sums_row, std::int64_t rows, const TileRows& a,
                        const std::uint32_t* panel, std::int64_t k, bool add) = nullptr;

  // c [rows, columns] from row and column on = sums (+ bias) (+ c).
  void (*write_tile)(const TileTarget& target, const float* sums, std::int64_t row,
                     std::int64_t column, std::int64_t rows, std::int64_t columns) = nullptr;
};

// Null where this CPU has not the instructions that they need. DNNL_MAX_CPU_ISA counts.
const TileKernels* tile_kernels(DType dtype);

// By file; this CPU has the instructions.
const TileKernels& f32_tile_kernels();
const TileKernels& bf16_tile_kernels();

}  // namespace weft
