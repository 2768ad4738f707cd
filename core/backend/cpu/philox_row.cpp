// Rows of Philox numbers, four counters to a vector.
#include "core/backend/cpu/philox_row.hpp"

#if defined(__AVX2__)
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

void philox_row(std::uint32_t* bits, const PhiloxKey& key, std::uint64_t first, std::int64_t n) {
  std::int64_t i = 0;
  const auto element = [&] { return first + static_cast<std::uint64_t>(i); };
  for (; i < n && element() % 4 != 0; ++i) bits[i] = philox_u32(key, element());
  if (i + kBlock <= n) {
    const PhiloxStream stream(key);
    for (; i + kBlock <= n; i += kBlock) stream.block(bits + i, element() / 4);
  }
  for (; i < n; ++i) bits[i] = philox_u32(key, element());
}

}  // namespace weft
