// Dropout's mask by its definition.
#pragma once

#include <cstdint>

#include "core/backend/backend.hpp"

namespace weft {

// What element i of a call is multiplied by.
inline double dropout_factor(const Dropout& dropout, std::size_t i) {
  const bool kept = philox_u32(dropout.key, dropout.first_element + i) >= drop_threshold(dropout.p);
  return kept ? 1 / (1 - double{dropout.p}) : 0;
}

}  // namespace weft
