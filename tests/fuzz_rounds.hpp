// How often tests of random inputs repeat.
#pragma once

namespace weft {

// `rounds`, or a twentieth of it under a sanitizer, where each round takes many times as long.
constexpr int fuzz_rounds(int rounds) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return rounds / 20;
#else
  return rounds;
#endif
}

}  // namespace weft
