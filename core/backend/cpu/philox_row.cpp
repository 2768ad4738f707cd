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
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC target("avx512f")

namespace {

// Eight counters in 64-bit lanes, as Counters above; one instruction makes both exclusive ors.
struct WideCounters {
  __m512i c0, c1, c2, c3;

  void round(__m512i k0, __m512i k1) {
    constexpr int kXor3 = 0x96;
    const __m512i p0 = times(c0, kM0), p1 = times(c2, kM1);
    c0 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1, k0, kXor3);
    c2 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3, k1, kXor3);
    c1 = p1;
    c3 = p0;
  }

  // The last round, which writes the words of each counter side by side: 32 elements.
  void last_round(std::uint32_t* bits, __m512i k0, __m512i k1) const {
    const __m512i c01 = last_words(times(c2, kM1), c1, k0);
    const __m512i c23 = last_words(times(c0, kM0), c3, k1);
    const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    _mm512_storeu_si512(bits, _mm512_permutex2var_epi64(c01, first, c23));
    _mm512_storeu_si512(bits + 16, _mm512_permutex2var_epi64(c01, second, c23));
  }

  static constexpr std::uint32_t kM0 = 0xD2511F53, kM1 = 0xCD9E8D57;
  static __m512i times(__m512i c, std::uint32_t m) {
    return _mm512_mul_epu32(c, _mm512_set1_epi64(m));
  }

 private:
  // The high half of p, exclusive or c and k, and above it the low half of p.
  static __m512i last_words(__m512i p, __m512i c, __m512i k) {
    constexpr int kXorWithAnd = 0x78;
    return _mm512_ternarylogic_epi64(_mm512_rol_epi64(p, 32), _mm512_xor_si512(c, k),
                                     _mm512_set1_epi64(0xFFFFFFFF), kXorWithAnd);
  }
};

// One stream's elements where the high half of the group is the same: then so are half of what the
// first round makes and a third of what the second one does.
class WideStream {
 public:
  WideStream(const PhiloxKey& key, std::uint32_t high) {
    std::uint32_t k0[10], k1[10];
    for (std::uint32_t round = 0; round < 10; ++round) {
      k0[round] = static_cast<std::uint32_t>(key.seed) + round * 0x9E3779B9;
      k1[round] = static_cast<std::uint32_t>(key.seed >> 32) + round * 0xBB67AE85;
      k0_[round] = _mm512_set1_epi64(k0[round]);
      k1_[round] = _mm512_set1_epi64(k1[round]);
    }
    const std::uint64_t p1 = std::uint64_t{WideCounters::kM1} * key.place;
    const std::uint32_t c0 = static_cast<std::uint32_t>(p1 >> 32) ^ high ^ k0[0];
    const std::uint64_t p0 = std::uint64_t{WideCounters::kM0} * c0;
    to_c2_ = _mm512_set1_epi64(key.step ^ k1[0]);
    to_next_c0_ = _mm512_set1_epi64(static_cast<std::uint32_t>(p1) ^ k0[1]);
    to_next_c2_ = _mm512_set1_epi64(static_cast<std::uint32_t>(p0 >> 32) ^ k1[1]);
    next_c3_ = _mm512_set1_epi64(static_cast<std::uint32_t>(p0));
  }

  // Elements 4 * group ... 4 * group + 32 kVectors - 1; `low` is the low half of the group. Several
  // vectors at once hide that each round waits for the one before.
  template <int kVectors>
  void block(std::uint32_t* bits, std::uint32_t low) const {
    WideCounters c[kVectors];
    const __m512i lows =
        _mm512_add_epi64(_mm512_set1_epi64(low), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      c[v] = after_two_rounds(_mm512_add_epi64(lows, _mm512_set1_epi64(8 * v)));
#pragma GCC unroll 7
    for (int round = 2; round < 9; ++round) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) c[v].round(k0_[round], k1_[round]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) c[v].last_round(bits + 32 * v, k0_[9], k1_[9]);
  }

 private:
  WideCounters after_two_rounds(__m512i lows) const {
    const __m512i p0 = WideCounters::times(lows, WideCounters::kM0);
    const __m512i c2 = _mm512_xor_si512(_mm512_srli_epi64(p0, 32), to_c2_);
    const __m512i p1 = WideCounters::times(c2, WideCounters::kM1);
    return {_mm512_xor_si512(_mm512_srli_epi64(p1, 32), to_next_c0_), p1,
            _mm512_xor_si512(p0, to_next_c2_), next_c3_};
  }

  __m512i k0_[10], k1_[10];
  __m512i to_c2_, to_next_c0_, to_next_c2_, next_c3_;
};

// Elements 4 * group ... 4 * group + n - 1 rounded down to whole vectors; returns how many.
std::int64_t draw_wide_blocks(std::uint32_t* bits, const PhiloxKey& key, std::uint64_t group,
                              std::int64_t n) {
  constexpr std::int64_t kVector = 32;
  const std::uint64_t high = group >> 32;
  if (n < kVector || (group + static_cast<std::uint64_t>(n) / 4) >> 32 != high) return 0;
  const WideStream stream(key, static_cast<std::uint32_t>(high));
  std::int64_t i = 0;
  const auto draw = [&]<int kVectors>() {
    for (; i + kVectors * kVector <= n; i += kVectors * kVector)
      stream.block<kVectors>(bits + i,
                             static_cast<std::uint32_t>(group) + static_cast<std::uint32_t>(i / 4));
  };
  draw.template operator()<4>();
  draw.template operator()<1>();
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
