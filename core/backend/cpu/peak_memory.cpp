// The bandwidth of memory: reading, copying and adding arrays far beyond the caches.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include <immintrin.h>
#include <omp.h>
#include <sys/mman.h>

#include "core/backend/cpu/peak_bursts.hpp"
#include "core/backend/cpu_peaks.hpp"
#include "core/backend/timeline.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr double kTime = 0.25;  // seconds for each kind of pass
// Of an array, by one thread in one turn: about a millisecond, which often passes undisturbed by
// other programs.
constexpr std::size_t kSlice = std::size_t{16} << 20;
constexpr std::size_t kLineFloats = 16;

// Bytes that may be taken without swapping; a gigabyte where the system does not tell.
std::size_t free_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::size_t kilobytes = 0;
  while (file >> key >> kilobytes && key != "MemAvailable:") std::getline(file, key);
  return file ? kilobytes << 10 : std::size_t{1} << 30;
}

// Of each of three. Beyond what a last-level cache holds, of which there are 2 to 12 MB for a core,
// or one of up to some 100 MB for a few. What the system tells of its size is not to be relied on
// in a virtual machine. On a host of many cores whose memory is in use, a 24th part of the rest.
std::size_t bytes_of_array() {
  constexpr std::size_t kLeast = std::size_t{128} << 20;
  const std::size_t wanted = kSlice * static_cast<std::size_t>(omp_get_max_threads());
  const std::size_t most = free_memory() / 24 / kHugePage * kHugePage;
  return std::max(kLeast, std::min(wanted, most));
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

// A thread's part of an array of `count` floats, the same in every pass: pages lie near the thread
// that touched them first.
struct Part {
  std::size_t first, size;

  explicit Part(std::size_t count)
      : size(count / static_cast<std::size_t>(omp_get_num_threads()) / kLineFloats * kLineFloats) {
    first = static_cast<std::size_t>(omp_get_thread_num()) * size;
  }
};

// Floats passed over per second: all threads call use(first, last) for slices of their parts, one
// after the other, until the same moment, and the best turns of each are added up.
template <class Use>
double best_pass(std::size_t count, const Use& use) {
  double sum = 0;
  double end = 0;
#pragma omp parallel reduction(+ : sum)
  {
    const Part part(count);
    const std::size_t slice = std::min(part.size, kSlice / sizeof(float));
    const std::size_t slices = part.size / slice;
#pragma omp single
    end = timeline::now() + kTime;  // and a barrier
    double best = 0;
    double before = timeline::now();
    for (std::size_t turn = 0; before < end; ++turn) {
      const std::size_t first = part.first + turn % slices * slice;
      use(first, first + slice);
      const double after = timeline::now();
      // Past the end others may have stopped.
      if (after < end || turn == 0)
        best = std::max(best, static_cast<double>(slice) / (after - before));
      before = after;
    }
    sum += best;
  }
  return sum;
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
#pragma omp parallel
  for (const Array& a : arrays) {
    const Part part(count);
    std::fill_n(a.get() + part.first, part.size, 1.0F);
  }
  const double read = best_pass(count, [&](std::size_t i, std::size_t last) { sum(x, i, last); });
  const double copy = best_pass(count, [&](std::size_t i, std::size_t last) {
    for (; i < last; i += 4) _mm_stream_ps(y + i, _mm_load_ps(x + i));
  });
  const __m128 factor = _mm_set1_ps(0.5F);
  const double triad = best_pass(count, [&](std::size_t i, std::size_t last) {
    for (; i < last; i += 4) {
      const __m128 scaled = _mm_mul_ps(factor, _mm_load_ps(y + i));
      _mm_stream_ps(z + i, _mm_add_ps(_mm_load_ps(x + i), scaled));
    }
  });
  constexpr double kBytes = sizeof(float);
  return {.read = kBytes * read, .copy = 2 * kBytes * copy, .triad = 3 * kBytes * triad};
}

}  // namespace weft
