// Packing, multiplying and writing tiles with AVX512_BF16. The functions are compiled for it
// whatever the baseline, and called where the CPU has it.
#include "core/backend/cpu/bf16_tiles.hpp"

#include <algorithm>
#include <cstring>

#include "core/backend/cpu/onednn.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false alarms on intrinsics (PR 105593)
#endif

namespace weft {

#if defined(__x86_64__)

#define WEFT_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace {

constexpr int kLanes = 16;
constexpr int kPanelVectors = kPanelColumns / kLanes;
constexpr int kPackedVectors = kPackedRows / kLanes;

__mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>((1U << std::clamp<std::int64_t>(n, 0, kLanes)) - 1);
}

// 16 elements of one row under 16 of the next one.
WEFT_AVX512_BF16 inline __m512i interleave(const bfloat16* even, const bfloat16* odd,
                                           __mmask16 even_mask, __mmask16 odd_mask) {
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(even_mask, even));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(odd_mask, odd));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

WEFT_AVX512_BF16 inline __m512 widen(const bfloat16* x, __mmask16 mask) {
  const __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x));
  return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}

// Columns are adjacent in memory: neighbouring rows are interleaved.
WEFT_AVX512_BF16 void pack_columns(std::uint32_t* panel, const Bf16Matrix& b, std::int64_t k,
                                   std::int64_t columns) {
  __mmask16 masks[kPanelVectors];
  for (int v = 0; v < kPanelVectors; ++v) masks[v] = first_lanes(columns - kLanes * v);
  for (std::int64_t i = 0; i < k; i += 2, panel += kPanelColumns) {
    const bfloat16* const even = b.at(i, 0);
    const bool whole = i + 1 < k;
    const bfloat16* const odd = whole ? b.at(i + 1, 0) : even;
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) {
      const __mmask16 odd_mask = whole ? masks[v] : __mmask16{0};
      _mm512_storeu_si512(panel + kLanes * v,
                          interleave(even + kLanes * v, odd + kLanes * v, masks[v], odd_mask));
    }
  }
}

// 16 x 16 words, transposed.
WEFT_AVX512_BF16 inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 16
  for (int q = 0; q < 8; ++q) {
    t[2 * q] = _mm512_unpacklo_epi32(r[2 * q], r[2 * q + 1]);
    t[2 * q + 1] = _mm512_unpackhi_epi32(r[2 * q], r[2 * q + 1]);
  }
#pragma GCC unroll 16
  for (int q = 0; q < 4; ++q) {
    r[4 * q] = _mm512_unpacklo_epi64(t[4 * q], t[4 * q + 2]);
    r[4 * q + 1] = _mm512_unpackhi_epi64(t[4 * q], t[4 * q + 2]);
    r[4 * q + 2] = _mm512_unpacklo_epi64(t[4 * q + 1], t[4 * q + 3]);
    r[4 * q + 3] = _mm512_unpackhi_epi64(t[4 * q + 1], t[4 * q + 3]);
  }
#pragma GCC unroll 16
  for (int q = 0; q < 4; ++q) {
    t[q] = _mm512_shuffle_i32x4(r[q], r[4 + q], 0x88);
    t[4 + q] = _mm512_shuffle_i32x4(r[q], r[4 + q], 0xDD);
    t[8 + q] = _mm512_shuffle_i32x4(r[8 + q], r[12 + q], 0x88);
    t[12 + q] = _mm512_shuffle_i32x4(r[8 + q], r[12 + q], 0xDD);
  }
#pragma GCC unroll 16
  for (int q = 0; q < 4; ++q) {
    r[q] = _mm512_shuffle_i32x4(t[q], t[8 + q], 0x88);
    r[8 + q] = _mm512_shuffle_i32x4(t[q], t[8 + q], 0xDD);
    r[4 + q] = _mm512_shuffle_i32x4(t[4 + q], t[12 + q], 0x88);
    r[12 + q] = _mm512_shuffle_i32x4(t[4 + q], t[12 + q], 0xDD);
  }
}

// The inner elements are adjacent in memory: pairs are there already, and are transposed.
WEFT_AVX512_BF16 void pack_inner(std::uint32_t* panel, const Bf16Matrix& b, std::int64_t k,
                                 std::int64_t columns) {
  for (std::int64_t j = 0; j < kPanelColumns; j += kLanes) {
    for (std::int64_t i = 0; i < k; i += 2 * kLanes) {
      const std::int64_t left = std::min<std::int64_t>(2 * kLanes, k - i);
      const auto mask = static_cast<__mmask32>((std::uint64_t{1} << left) - 1);
      __m512i r[16];
#pragma GCC unroll 16
      for (int q = 0; q < kLanes; ++q) {
        const bool inside = j + q < columns;
        r[q] = _mm512_maskz_loadu_epi16(inside ? mask : 0, b.at(i, inside ? j + q : 0));
      }
      transpose(r);
      std::uint32_t* const out = panel + i / 2 * kPanelColumns + j;
      if (left == 2 * kLanes) {
#pragma GCC unroll 16
        for (int q = 0; q < kLanes; ++q) _mm512_storeu_si512(out + q * kPanelColumns, r[q]);
      } else {
        for (std::int64_t q = 0; q < pairs_of(left); ++q)
          _mm512_storeu_si512(out + q * kPanelColumns, r[q]);
      }
    }
  }
}

template <bool Sums>
WEFT_AVX512_BF16 void pack_rows_as(std::uint32_t* packed, float* sums, const Bf16Matrix& a,
                                   std::int64_t rows, std::int64_t k) {
  // Sums of sums: short runs keep the rounding errors of long ones small.
  constexpr std::int64_t kRun = 128;
  const __m512bh ones = (__m512bh)_mm512_set1_epi32(0x3F803F80);
  __mmask16 masks[kPackedVectors];
  for (int v = 0; v < kPackedVectors; ++v) masks[v] = first_lanes(rows - kLanes * v);
  __m512 total[kPackedVectors] = {};
  for (std::int64_t begin = 0; begin < k; begin += kRun) {
    __m512 sum[kPackedVectors] = {};
    for (std::int64_t i = begin; i < std::min(k, begin + kRun); i += 2, packed += kPackedRows) {
      const bfloat16* const even = a.at(0, i);
      const bool whole = i + 1 < k;
      const bfloat16* const odd = whole ? a.at(0, i + 1) : even;
#pragma GCC unroll 6
      for (int v = 0; v < kPackedVectors; ++v) {
        const __mmask16 odd_mask = whole ? masks[v] : __mmask16{0};
        const __m512i pairs = interleave(even + kLanes * v, odd + kLanes * v, masks[v], odd_mask);
        _mm512_storeu_si512(packed + kLanes * v, pairs);
        if (Sums) sum[v] = _mm512_dpbf16_ps(sum[v], (__m512bh)pairs, ones);
      }
    }
    for (int v = 0; v < kPackedVectors; ++v) total[v] = _mm512_add_ps(total[v], sum[v]);
  }
  if (Sums) {
    for (int v = 0; v < kPackedVectors; ++v)
      _mm512_mask_storeu_ps(sums + kLanes * v, masks[v], total[v]);
  }
}

template <int Rows>
WEFT_AVX512_BF16 void multiply_rows(float* sums, std::int64_t sums_row, const TileRows& a,
                                    const std::uint32_t* panel, std::int64_t k, bool add) {
  __m512 acc[Rows][kPanelVectors];
#pragma GCC unroll 6
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v)
      acc[m][v] = add ? _mm512_loadu_ps(sums + m * sums_row + kLanes * v) : _mm512_setzero_ps();
  }
  const std::int64_t single = a.pair == 2 ? k % 2 : 0;
  const std::int64_t pairs = pairs_of(k) - single;
  const auto* words = reinterpret_cast<const char*>(a.data);
  const std::int64_t row = a.row * 2, step = a.pair * 2;  // in bytes
  for (std::int64_t i = 0; i < pairs; ++i, words += step, panel += kPanelColumns) {
    __m512i b[kPanelVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) b[v] = _mm512_loadu_si512(panel + kLanes * v);
#pragma GCC unroll 6
    for (int m = 0; m < Rows; ++m) {
      int word;
      std::memcpy(&word, words + m * row, sizeof(word));
      const __m512i pair = _mm512_set1_epi32(word);
#pragma GCC unroll 4
      for (int v = 0; v < kPanelVectors; ++v)
        acc[m][v] = _mm512_dpbf16_ps(acc[m][v], (__m512bh)pair, (__m512bh)b[v]);
    }
  }
  if (single != 0) {
#pragma GCC unroll 6
    for (int m = 0; m < Rows; ++m) {
      std::uint16_t half;
      std::memcpy(&half, words + m * row, sizeof(half));
      const __m512i pair = _mm512_set1_epi32(half);
#pragma GCC unroll 4
      for (int v = 0; v < kPanelVectors; ++v)
        acc[m][v] = _mm512_dpbf16_ps(acc[m][v], (__m512bh)pair,
                                     (__m512bh)_mm512_loadu_si512(panel + kLanes * v));
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v)
      _mm512_storeu_ps(sums + m * sums_row + kLanes * v, acc[m][v]);
  }
}

WEFT_AVX512_BF16 inline __m512 load(const float* c, __mmask16 mask) {
  return _mm512_maskz_loadu_ps(mask, c);
}
WEFT_AVX512_BF16 inline __m512 load(const bfloat16* c, __mmask16 mask) { return widen(c, mask); }

WEFT_AVX512_BF16 inline void store(float* c, __m512 x, __mmask16 mask) {
  _mm512_mask_storeu_ps(c, mask, x);
}
WEFT_AVX512_BF16 inline void store(bfloat16* c, __m512 x, __mmask16 mask) {
  _mm256_mask_storeu_epi16(c, mask, (__m256i)_mm512_cvtneps_pbh(x));
}

template <class T>
WEFT_AVX512_BF16 inline void write_row(T* c, const float* sums, const bfloat16* bias,
                                       bool accumulate, std::int64_t columns) {
#pragma GCC unroll 4
  for (int v = 0; v < kPanelVectors; ++v) {
    const std::int64_t at = kLanes * v;
    const __mmask16 mask = first_lanes(columns - at);
    __m512 x = _mm512_loadu_ps(sums + at);
    if (bias != nullptr) x = _mm512_add_ps(x, widen(bias + at, mask));
    if (accumulate) x = _mm512_add_ps(x, load(c + at, mask));
    store(c + at, x, mask);
  }
}

}  // namespace

bool cpu_has_bf16_tiles() {
  static const bool has = cpu_has_bf16() && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bf16");
  return has;
}

void pack_panel(std::uint32_t* panel, const Bf16Matrix& b, std::int64_t k, std::int64_t columns) {
  if (b.column == 1) return pack_columns(panel, b, k, columns);
  pack_inner(panel, b, k, columns);
}

void pack_rows(std::uint32_t* packed, float* sums, const Bf16Matrix& a, std::int64_t rows,
               std::int64_t k) {
  if (sums != nullptr) return pack_rows_as<true>(packed, sums, a, rows, k);
  pack_rows_as<false>(packed, sums, a, rows, k);
}

void multiply_tile(float* sums, std::int64_t sums_row, std::int64_t rows, const TileRows& a,
                   const std::uint32_t* panel, std::int64_t k, bool add) {
  switch (rows) {
    case 6:
      return multiply_rows<6>(sums, sums_row, a, panel, k, add);
    case 5:
      return multiply_rows<5>(sums, sums_row, a, panel, k, add);
    case 4:
      return multiply_rows<4>(sums, sums_row, a, panel, k, add);
    case 3:
      return multiply_rows<3>(sums, sums_row, a, panel, k, add);
    case 2:
      return multiply_rows<2>(sums, sums_row, a, panel, k, add);
    default:
      return multiply_rows<1>(sums, sums_row, a, panel, k, add);
  }
}

void write_tile(const TileTarget& target, const float* sums, std::int64_t row, std::int64_t column,
                std::int64_t rows, std::int64_t columns) {
  for (std::int64_t m = 0; m < rows; ++m, sums += kPanelColumns) {
    const std::int64_t first = (row + m) * target.c_row + column;
    const bfloat16* const bias = target.bias == nullptr ? nullptr : target.bias + column;
    if (target.f32) {
      write_row(static_cast<float*>(target.c) + first, sums, bias, target.accumulate, columns);
    } else {
      write_row(static_cast<bfloat16*>(target.c) + first, sums, bias, target.accumulate, columns);
    }
  }
}

#else

bool cpu_has_bf16_tiles() { return false; }
void pack_panel(std::uint32_t*, const Bf16Matrix&, std::int64_t, std::int64_t) {}
void pack_rows(std::uint32_t*, float*, const Bf16Matrix&, std::int64_t, std::int64_t) {}
void multiply_tile(float*, std::int64_t, std::int64_t, const TileRows&, const std::uint32_t*,
                   std::int64_t, bool) {}
void write_tile(const TileTarget&, const float*, std::int64_t, std::int64_t, std::int64_t,
                std::int64_t) {}

#endif

}  // namespace weft
