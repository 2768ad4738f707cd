// Tiles of products in bf16 with AVX512_BF16: products of pairs, summed in fp32.
#include "core/backend/cpu/tiles/includes.hpp"

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // in g++ 12's own header (PR 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC target("arch=x86-64-v4,avx512bf16,prefer-vector-width=512")

namespace weft {

namespace avx512_bf16_tiles {

// A word is a pair, the number that comes first in its lower half.
struct Level {
  using Number = bfloat16;

  static __m512 multiply_add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  static __m512 add(__m512 sum, __m512i words) {
    return multiply_add(sum, words, _mm512_set1_epi32(0x3F803F80));  // times pairs of ones
  }

  // The words of n numbers of a row, n <= 32, and zeros.
  static __m512i words(const bfloat16* row, std::int64_t n) {
    return _mm512_maskz_loadu_epi16(static_cast<__mmask32>((std::uint64_t{1} << n) - 1), row);
  }
  // One word of each column, from one row and the next.
  static __m512i words(const bfloat16* row, const bfloat16* next, __mmask16 columns,
                       __mmask16 columns_of_next) {
    return _mm512_or_si512(widened(row, columns),
                           _mm512_slli_epi32(widened(next, columns_of_next), 16));
  }

  static __m512 load(const float* x, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, x); }
  static __m512 load(const bfloat16* x, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(widened(x, mask), 16));
  }
  static void store(float* c, __m512 x, __mmask16 mask) { _mm512_mask_storeu_ps(c, mask, x); }
  static void store(bfloat16* c, __m512 x, __mmask16 mask) {
    _mm256_mask_storeu_epi16(c, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
  }

 private:
  static __m512i widened(const bfloat16* x, __mmask16 mask) {
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x));
  }
};

#include "core/backend/cpu/tiles/tiles.inc"

}  // namespace avx512_bf16_tiles

const TileKernels& bf16_tile_kernels() { return avx512_bf16_tiles::kKernels; }

}  // namespace weft

#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
