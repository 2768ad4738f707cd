// Rows of Philox numbers, four counters to a vector.
#include "core/backend/cpu/philox_row.hpp"

#include "core/backend/cpu/onednn.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weft {

namespace {

#if defined(__AVX2__)
constexpr std::int64_t kBlock = 32;  // elements: two vectors of four counters, four words each

// Four counters in 64-bit lanes. Only the low halves count: the high ones hold leftovers, which the
// 32 x 32 -> 64 bit multiplication ignores.
struct Counters {
  __m256i c0, c1, c2, c3;

  void round(__m256i k0, __m256i k1) {
    const __m256i p0 = _mm256_mul_epu32(c0, _mm256_set1_epi64x(0xD2511F53));
    const __m256i p1 = _mm256_mul_epu32(c2, _mm256_set1_epi64x(0xCD9E8D57));
    c0 = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(c1, k0));
    c2 = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(c3, k1));
    c1 = p1;
    c3 = p0;
  }

  // Writes the words of each counter side by side: 16 elements.
  void store(std::uint32_t* bits) const {
    const __m256i c01 = _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), 0xAA);
    const __m256i c23 = _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), 0xAA);
    const __m256i even = _mm256_unpacklo_epi64(c01, c23);  // counters 0 and 2
    const __m256i odd = _mm256_unpackhi_epi64(c01, c23);   // counters 1 and 3
    auto* out = reinterpret_cast<__m256i*>(bits);
    _mm256_storeu_si256(out, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(even, odd, 0x31));
  }
};

// One stream's constants, spread over vectors once per row.
class PhiloxStream {
 public:
  explicit PhiloxStream(const PhiloxKey& key)
      : place_(_mm256_set1_epi64x(key.place)), step_(_mm256_set1_epi64x(key.step)) {
    auto k0 = static_cast<std::uint32_t>(key.seed);
    auto k1 = static_cast<std::uint32_t>(key.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      k0_[round] = _mm256_set1_epi64x(k0);
      k1_[round] = _mm256_set1_epi64x(k1);
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
  }

  // Elements 4 * group ... 4 * group + kBlock - 1.
  void block(std::uint32_t* bits, std::uint64_t group) const {
    const __m256i low = _mm256_add_epi64(_mm256_set1_epi64x(static_cast<std::int64_t>(group)),
                                         _mm256_setr_epi64x(0, 1, 2, 3));
    const __m256i next = _mm256_add_epi64(low, _mm256_set1_epi64x(4));
    Counters a{low, _mm256_srli_epi64(low, 32), place_, step_};
    Counters b{next, _mm256_srli_epi64(next, 32), place_, step_};
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      a.round(k0_[round], k1_[round]);
      b.round(k0_[round], k1_[round]);
    }
    a.store(bits);
    b.store(bits + 16);
  }

 private:
  __m256i place_, step_;
  __m256i k0_[10], k1_[10];
};
#else
constexpr std::int64_t kBlock = 4;

class PhiloxStream {
 public:
  explicit PhiloxStream(const PhiloxKey& key) : key_(key) {}
  void block(std::uint32_t* bits, std::uint64_t group) const {
    const Philox4 words = philox(key_, group);
    for (int k = 0; k < 4; ++k) bits[k] = words.v[k];
  }

 private:
  PhiloxKey key_;
};
#endif

}  // namespace

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false alarms on intrinsics (PR 105593)
#pragma GCC target("avx512f")

namespace {

// Eight counters in 64-bit lanes, as Counters above; one instruction makes both exclusive ors.
struct WideCounters {
  __m512i c0, c1, c2, c3;

  void round(__m512i k0, __m512i k1) {
    constexpr int kXor3 = 0x96;
    const __m512i p0 = _mm512_mul_epu32(c0, _mm512_set1_epi64(0xD2511F53));
    const __m512i p1 = _mm512_mul_epu32(c2, _mm512_set1_epi64(0xCD9E8D57));
    c0 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1, k0, kXor3);
    c2 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3, k1, kXor3);
    c1 = p1;
    c3 = p0;
  }

  // Writes the words of each counter side by side: 32 elements.
  void store(std::uint32_t* bits) const {
    const __m512i c01 = low(c0) | _mm512_slli_epi64(c1, 32);
    const __m512i c23 = low(c2) | _mm512_slli_epi64(c3, 32);
    const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    _mm512_storeu_si512(bits, _mm512_permutex2var_epi64(c01, first, c23));
    _mm512_storeu_si512(bits + 16, _mm512_permutex2var_epi64(c01, second, c23));
  }

 private:
  static __m512i low(__m512i x) { return _mm512_and_si512(x, _mm512_set1_epi64(0xFFFFFFFF)); }
};

// Elements 4 * group ... 4 * group + n - 1 rounded down to whole blocks; returns how many.
std::int64_t draw_wide_blocks(std::uint32_t* bits, const PhiloxKey& key, std::uint64_t group,
                              std::int64_t n) {
  constexpr std::int64_t kWideBlock = 64;
  if (n < kWideBlock) return 0;
  __m512i k0[10], k1[10];
  for (int round = 0; round < 10; ++round) {
    const auto times = static_cast<std::uint32_t>(round);
    k0[round] = _mm512_set1_epi64(static_cast<std::uint32_t>(key.seed) + times * 0x9E3779B9);
    k1[round] = _mm512_set1_epi64(static_cast<std::uint32_t>(key.seed >> 32) + times * 0xBB67AE85);
  }
  const __m512i place = _mm512_set1_epi64(key.place), step = _mm512_set1_epi64(key.step);
  std::int64_t i = 0;
  for (; i + kWideBlock <= n; i += kWideBlock, group += kWideBlock / 4) {
    const __m512i low = _mm512_add_epi64(_mm512_set1_epi64(static_cast<std::int64_t>(group)),
                                         _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    const __m512i next = _mm512_add_epi64(low, _mm512_set1_epi64(8));
    WideCounters a{low, _mm512_srli_epi64(low, 32), place, step};
    WideCounters b{next, _mm512_srli_epi64(next, 32), place, step};
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      a.round(k0[round], k1[round]);
      b.round(k0[round], k1[round]);
    }
    a.store(bits + i);
    b.store(bits + i + 32);
  }
  return i;
}

}  // namespace

#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif

void philox_row(std::uint32_t* bits, const PhiloxKey& key, std::uint64_t first, std::int64_t n) {
  std::int64_t i = 0;
  const auto element = [&] { return first + static_cast<std::uint64_t>(i); };
  for (; i < n && element() % 4 != 0; ++i) bits[i] = philox_u32(key, element());
#if defined(__x86_64__)
  if (cpu_has_avx512()) i += draw_wide_blocks(bits + i, key, element() / 4, n - i);
#endif
  if (i + kBlock <= n) {
    const PhiloxStream stream(key);
    for (; i + kBlock <= n; i += kBlock) stream.block(bits + i, element() / 4);
  }
  for (; i < n; ++i) bits[i] = philox_u32(key, element());
}

}  // namespace weft
