// Long rows in blocks that stay in the first-level cache.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft {

// Elements that kernels take at a time: a few blocks of fp32 fit in the first-level cache.
inline constexpr std::int64_t kBlock = 1024;

// Calls f(begin, count) for the blocks of [first, last).
template <class F>
void for_blocks(std::int64_t first, std::int64_t last, const F& f) {
  for (std::int64_t begin = first; begin < last; begin += kBlock)
    f(begin, std::min(kBlock, last - begin));
}

}  // namespace weft
