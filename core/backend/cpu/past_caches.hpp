// Writing large results past the caches.
//
// An ordinary store reads its line before it changes it: a pass that writes what it has not read
// moves that memory twice. What is stored past the caches is moved once, but the next pass has to
// fetch it from memory, and a line that was just read is better changed where it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include <emmintrin.h>

#include "core/backend/cpu/blocks.hpp"
#include "core/tensor/tensor.hpp"

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

// Elements of T from x on to the next address that is a multiple of `alignment`.
template <class T>
std::int64_t elements_to_alignment(const T* x, std::size_t alignment) {
  const std::size_t beyond = reinterpret_cast<std::uintptr_t>(x) % alignment;
  return beyond == 0 ? 0 : static_cast<std::int64_t>((alignment - beyond) / sizeof(T));
}

// Whether a pass that reads and writes these had better write past the caches: none is changed in
// place.
inline bool is_written_past_caches(std::initializer_list<const Tensor*> written,
                                   std::initializer_list<const Tensor*> read) {
  std::size_t bytes = 0;
  for (const Tensor* y : written) {
    bytes += y->bytes();
    for (const Tensor* x : read) {
      if (x->raw() == y->raw()) return false;
    }
  }
  for (const Tensor* x : read) bytes += x->bytes();
  return is_beyond_caches(bytes);
}

// Whether each row of y begins and ends with a line of memory.
inline bool has_rows_of_lines(const Tensor& y, std::int64_t columns) {
  constexpr std::size_t kLine = 64;
  return reinterpret_cast<std::uintptr_t>(y.raw()) % kLine == 0 &&
         static_cast<std::size_t>(columns) * size_of(y.dtype()) % kLine == 0;
}

// for_blocks() whose blocks end where lines of x do, but for the last one.
template <class T, class F>
void for_blocks_of_lines(const T* x, std::int64_t first, std::int64_t last, const F& f) {
  const std::int64_t lead = std::min(last - first, elements_to_alignment(x + first, 64));
  if (lead > 0) f(first, lead);
  for_blocks(first + lead, last, f);
}

}  // namespace weft
