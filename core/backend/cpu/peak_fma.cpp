// Multiply-adds of fp32 in registers.
#include <immintrin.h>

#include "core/backend/cpu/peak_bursts.hpp"

namespace weft {

namespace {

// Chains that do not wait for each other: latency times units, about 10, with some to spare; with
// the two operands they fit the registers, 16 of AVX2 and 32 of AVX-512.
constexpr int kChains256 = 12;
constexpr int kChains512 = 24;
constexpr float kFactor = 0.999F, kAddend = 0.001F;  // x -> 0.999 x + 0.001 stays near 1

__attribute__((target("avx2,fma"))) double with_avx2(long rounds) {
  const __m256 factor = _mm256_set1_ps(kFactor), addend = _mm256_set1_ps(kAddend);
  __m256 x[kChains256];
  for (int i = 0; i < kChains256; ++i) x[i] = _mm256_set1_ps(static_cast<float>(i));
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains256; ++i) x[i] = _mm256_fmadd_ps(x[i], factor, addend);
  }
  __m256 sum = x[0];
  for (int i = 1; i < kChains256; ++i) sum = _mm256_add_ps(sum, x[i]);
  keep(_mm256_cvtss_f32(sum));
  return 2.0 * 8 * kChains256 * static_cast<double>(rounds);
}

__attribute__((target("avx512f"))) double with_avx512(long rounds) {
  const __m512 factor = _mm512_set1_ps(kFactor), addend = _mm512_set1_ps(kAddend);
  __m512 x[kChains512];
  for (int i = 0; i < kChains512; ++i) x[i] = _mm512_set1_ps(static_cast<float>(i));
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains512; ++i) x[i] = _mm512_fmadd_ps(x[i], factor, addend);
  }
  __m512 sum = x[0];
  for (int i = 1; i < kChains512; ++i) sum = _mm512_add_ps(sum, x[i]);
  keep(_mm512_cvtss_f32(sum));
  return 2.0 * 16 * kChains512 * static_cast<double>(rounds);
}

}  // namespace

Burst fma_burst() {
  if (__builtin_cpu_supports("avx512f")) return with_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return with_avx2;
  return nullptr;
}

}  // namespace weft
