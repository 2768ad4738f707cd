// The bandwidth of memory: reading, copying and adding arrays far beyond the caches.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include <immintrin.h>
#include <omp.h>
#include <sys/mman.h>

#include "core/backend/cpu/peak_bursts.hpp"
#include "core/backend/cpu_peaks.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr double kTime = 0.25;  // seconds for each kind of pass
constexpr int kLeastTurns = 3;

// Beyond what a last-level cache holds, of which there are 2 to 12 MB for a core, or one of up to
// some 100 MB for a few. What the system tells of its size is not to be relied on in a virtual
// machine.
std::size_t bytes_of_array() {
  constexpr std::size_t kLeast = std::size_t{128} << 20, kForAThread = std::size_t{16} << 20;
  return std::max(kLeast, kForAThread * static_cast<std::size_t>(omp_get_max_threads()));
}

// Outside of the tensors' allocator, which would keep the memory and count it.
struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Array = std::unique_ptr<float, Free>;

Array array(std::size_t bytes) {
  Array p(static_cast<float*>(std::aligned_alloc(kHugePage, bytes)));
  if (!p) throw Error("out of memory for measuring the bandwidth of memory");
  madvise(p.get(), bytes, MADV_HUGEPAGE);
  return p;
}

// Calls use(first, last) on each thread for its part, which is the same in every call: pages lie
// near the thread that touched them first.
template <class Use>
double seconds_of(std::size_t count, const Use& use) {
  const auto start = std::chrono::steady_clock::now();
#pragma omp parallel
  {
    constexpr std::size_t kLine = 16;  // floats
    const std::size_t lines = count / kLine;
    const auto threads = static_cast<std::size_t>(omp_get_num_threads());
    const auto own = static_cast<std::size_t>(omp_get_thread_num());
    use(lines * own / threads * kLine, lines * (own + 1) / threads * kLine);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best of some turns.
template <class Use>
double best_seconds(std::size_t count, const Use& use) {
  double best = seconds_of(count, use), all = best;
  for (int i = 1; i < kLeastTurns || all < kTime; ++i) {
    const double seconds = seconds_of(count, use);
    best = std::min(best, seconds);
    all += seconds;
  }
  return best;
}

void sum(const float* x, std::size_t first, std::size_t last) {
  __m128i sums[4] = {};
  for (std::size_t i = first; i < last; i += 16) {
    for (std::size_t k = 0; k < 4; ++k) {
      const __m128i part = _mm_load_si128(reinterpret_cast<const __m128i*>(x + i + 4 * k));
      sums[k] = _mm_xor_si128(sums[k], part);
    }
  }
  const __m128i all =
      _mm_xor_si128(_mm_xor_si128(sums[0], sums[1]), _mm_xor_si128(sums[2], sums[3]));
  keep(_mm_cvtss_f32(_mm_castsi128_ps(all)));
}

}  // namespace

// Stores go past the caches: an ordinary one would read the line first.
MemoryRates measure_memory() {
  const std::size_t size = bytes_of_array(), count = size / sizeof(float);
  const Array arrays[] = {array(size), array(size), array(size)};
  float* const x = arrays[0].get();
  float* const y = arrays[1].get();
  float* const z = arrays[2].get();
  for (const Array& a : arrays) {
    seconds_of(count, [&](std::size_t i, std::size_t last) {
      std::fill(a.get() + i, a.get() + last, 1.0F);
    });
  }
  const double read =
      best_seconds(count, [&](std::size_t i, std::size_t last) { sum(x, i, last); });
  const double copy = best_seconds(count, [&](std::size_t i, std::size_t last) {
    for (; i < last; i += 4) _mm_stream_ps(y + i, _mm_load_ps(x + i));
  });
  const __m128 factor = _mm_set1_ps(0.5F);
  const double triad = best_seconds(count, [&](std::size_t i, std::size_t last) {
    for (; i < last; i += 4) {
      const __m128 scaled = _mm_mul_ps(factor, _mm_load_ps(y + i));
      _mm_stream_ps(z + i, _mm_add_ps(_mm_load_ps(x + i), scaled));
    }
  });
  const auto bytes = static_cast<double>(size);
  return {.read = bytes / read, .copy = 2 * bytes / copy, .triad = 3 * bytes / triad};
}

}  // namespace weft
