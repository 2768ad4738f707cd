// Looks for leaks under the address sanitizer.
#pragma once

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace weft {

// Whether memory has leaked until now; false in other builds. For the end of main(): afterwards the
// leaks of libraries that have been unloaded can no longer be told from ours.
inline bool leaks_found() {
#ifdef __SANITIZE_ADDRESS__
  return __lsan_do_recoverable_leak_check() != 0;
#else
  return false;
#endif
}

}  // namespace weft
