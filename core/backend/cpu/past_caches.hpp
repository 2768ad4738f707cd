// Writing large results past the caches.
//
// An ordinary store reads its line before it changes it: a pass that writes what it has not read
// moves that memory twice. What is stored past the caches is moved once, but the next pass has to
// fetch it from memory, and a line that was just read is better changed where it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <emmintrin.h>

#include "core/backend/cpu/blocks.hpp"

namespace weft {

// Whether a pass over so many bytes, read and written, leaves little of them to the next one. Of
// common processors a last-level cache holds 16 to 64 MB. What the system tells of its size is not
// to be relied on in a virtual machine.
inline bool is_beyond_caches(std::size_t bytes) { return bytes > std::size_t{64} << 20; }

// to = from, past the caches; they do not overlap. Another thread sees it after a fence.
inline void stream(void* to, const void* from, std::size_t bytes) {
  // A line of memory is gathered before it is sent: stores of any width fill it.
  constexpr std::size_t kVector = sizeof(__m128i);
  auto* const t = static_cast<std::byte*>(to);
  const auto* const f = static_cast<const std::byte*>(from);
  const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(t) % kVector;
  std::size_t i = misaligned == 0 ? 0 : std::min(bytes, kVector - misaligned);
  std::memcpy(t, f, i);
  for (; i + kVector <= bytes; i += kVector) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(t + i),
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(f + i)));
  }
  std::memcpy(t + i, f + i, bytes - i);
}

// Elements [first, last) of y, past the caches: compute(block, begin, count) puts `count` of them,
// from `begin` on, into a block of the first-level cache.
template <class Y, class F>
void stream_blocks(Y* y, std::int64_t first, std::int64_t last, const F& compute) {
  alignas(64) Y block[kBlock];
  for_blocks(first, last, [&](std::int64_t begin, std::int64_t count) {
    compute(block, begin, count);
    stream(y + begin, block, static_cast<std::size_t>(count) * sizeof(Y));
  });
  _mm_sfence();
}

}  // namespace weft
