// Dot products of bf16 pairs in registers: vdpbf16ps.
#include <immintrin.h>

#include "core/backend/cpu/peak_bursts.hpp"

namespace weft {

namespace {

constexpr int kChains = 24;

__attribute__((target("avx512f,avx512bw,avx512bf16"))) double with_avx512_bf16(long rounds) {
  const __m512bh ones = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1));
  const __m512bh small = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3F), _mm512_set1_ps(-1e-3F));
  __m512 x[kChains];
  for (int i = 0; i < kChains; ++i) x[i] = _mm512_set1_ps(static_cast<float>(i));
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) x[i] = _mm512_dpbf16_ps(x[i], ones, small);
  }
  __m512 sum = x[0];
  for (int i = 1; i < kChains; ++i) sum = _mm512_add_ps(sum, x[i]);
  keep(_mm512_cvtss_f32(sum));
  return 2.0 * 32 * kChains * static_cast<double>(rounds);
}

}  // namespace

Burst bf16_dot_burst() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw")
             ? with_avx512_bf16
             : nullptr;
}

}  // namespace weft
