// Tells the address sanitizer which bytes of a cached block belong to somebody; does nothing
// without it.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace weft {

#if defined(__SANITIZE_ADDRESS__)
inline void forbid_access(const void* p, std::size_t bytes) { ASAN_POISON_MEMORY_REGION(p, bytes); }
inline void allow_access(const void* p, std::size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(p, bytes);
}
#else
inline void forbid_access(const void*, std::size_t) {}
inline void allow_access(const void*, std::size_t) {}
#endif

}  // namespace weft
