// Rows of Philox numbers, drawn with SIMD.
#pragma once

#include <cstdint>

#include "core/base/philox.hpp"

namespace weft {

// bits[i] = philox_u32(key, first + i) for i < n. Meant for a buffer that stays in the first-level
// cache (a row, or a few hundred elements): element i is kept when bits[i] >= drop_threshold(p).
void philox_row(std::uint32_t* bits, const PhiloxKey& key, std::uint64_t first, std::int64_t n);

}  // namespace weft
