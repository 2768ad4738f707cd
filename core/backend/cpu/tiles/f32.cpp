// Tiles of products in fp32 with AVX-512, whatever the rest of the program is compiled for.
#include "core/backend/cpu/tiles/includes.hpp"

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // in g++ 12's own header (PR 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")

namespace weft {

namespace avx512_f32_tiles {

// A word is a number.
struct Level {
  using Number = float;

  static __m512 multiply_add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
  static __m512 add(__m512 sum, __m512i words) {
    return _mm512_add_ps(sum, _mm512_castsi512_ps(words));
  }

  // The words of n numbers of a row, n <= 16, and zeros.
  static __m512i words(const float* row, std::int64_t n) {
    return _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1U << n) - 1), row);
  }
  // One word of each column; a word has no second row.
  static __m512i words(const float* row, const float*, __mmask16 columns, __mmask16) {
    return _mm512_maskz_loadu_epi32(columns, row);
  }

  static __m512 load(const float* x, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, x); }
  static void store(float* c, __m512 x, __mmask16 mask) { _mm512_mask_storeu_ps(c, mask, x); }
};

#include "core/backend/cpu/tiles/tiles.inc"

}  // namespace avx512_f32_tiles

const TileKernels& f32_tile_kernels() { return avx512_f32_tiles::kKernels; }

}  // namespace weft

#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
