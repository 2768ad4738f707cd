// Elements cut into consecutive parts.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft {

struct Part {
  std::int64_t first = 0, last = 0;  // [first, last)

  std::int64_t count() const { return last - first; }
};

// What the `one`-th of `all` gets of so many elements. Parts begin with multiples of `unit`, and
// are empty when there are fewer of these than parts.
inline Part part_of(std::int64_t elements, std::int64_t unit, std::int64_t one, std::int64_t all) {
  const std::int64_t units = (elements + unit - 1) / unit;
  return {.first = std::min(elements, units * one / all * unit),
          .last = std::min(elements, units * (one + 1) / all * unit)};
}

}  // namespace weft
