// Attention of bf16 tensors with AVX512_BF16: products of pairs, summed in fp32.
#include "core/backend/cpu/attention/includes.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // in g++ 12's own header (PR 105593)
#pragma GCC target("arch=x86-64-v4,avx512bf16,prefer-vector-width=512")

namespace weft {

namespace avx512_bf16 {

#include "core/backend/cpu/attention/avx512_exp.inc"

// As avx512.cpp has it, in pairs.
struct Level {
  static constexpr int kLanes = 16, kRows = 8, kVectors = 2, kPair = 2;
  using Unit = std::uint32_t;
  using Floats [[gnu::vector_size(64)]] = float;
  using Units [[gnu::vector_size(64)]] = std::uint32_t;

  static Floats exp(Floats x) {
    return reinterpret_cast<Floats>(avx512_exp(reinterpret_cast<__m512>(x)));
  }

  static Floats multiply_add(Floats sum, Unit left, Units right) {
    return reinterpret_cast<Floats>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                     reinterpret_cast<__m512bh>(Units{} + left),
                                                     reinterpret_cast<__m512bh>(right)));
  }

  static Unit unit_of(const bfloat16& low, const bfloat16& high) {
    return low.bits | static_cast<Unit>(high.bits) << 16;
  }

  // Memory for the units of a block of numbers.
  static Unit* take_units(Arena& arena, const float*, std::int64_t numbers) {
    return arena.take<Unit>(numbers / kPair);
  }

  // Units of neighbours in a row. Whole vectors of 32 numbers are read and written.
  static void narrow(Unit* to, const float* from, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += 32) {
      const __m512bh y =
          _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + i + 16), _mm512_loadu_ps(from + i));
      _mm512_storeu_si512(to + i / 2, reinterpret_cast<__m512i>(y));
    }
  }

  // Units of neighbours in two rows. Whole vectors of 16 units are written.
  static void interleave(Unit* to, const float* low, const float* high, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += 16) {
      const Units units = rounded(low + i) | rounded(high + i) << 16;
      _mm512_storeu_si512(to + i, reinterpret_cast<__m512i>(units));
    }
  }

 private:
  static Units rounded(const float* x) {
    using Halves [[gnu::vector_size(32)]] = std::uint16_t;
    return __builtin_convertvector(reinterpret_cast<Halves>(_mm512_cvtneps_pbh(_mm512_loadu_ps(x))),
                                   Units);
  }
};

#include "core/backend/cpu/attention/kernels.inc"

}  // namespace avx512_bf16

AttentionKernels avx512_bf16_attention_kernels() { return avx512_bf16::kernels(); }

}  // namespace weft

#pragma GCC diagnostic pop
#pragma GCC pop_options
#else
namespace weft {
AttentionKernels avx512_bf16_attention_kernels() { return baseline_attention_kernels(); }
}  // namespace weft
#endif
