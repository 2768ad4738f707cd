// Which elements of a row a dropout keeps.
#pragma once

#include <cstdint>

#include "core/backend/backend.hpp"
#include "core/backend/cpu/philox_row.hpp"

namespace weft {

// Draws a number for each element of one dropout: where it reaches the threshold, the element is
// kept and multiplied with factor(), 1 / (1 - p).
class DropoutMask {
 public:
  explicit DropoutMask(const Dropout& dropout)
      : key_(in_step(dropout.key, step_of(dropout.step))),
        first_element_(dropout.first_element),
        threshold_(drop_threshold(dropout.p)),
        factor_(keep_factor(dropout.p)),
        identity_(dropout.p == 0) {}

  bool is_identity() const { return identity_; }
  std::uint32_t threshold() const { return threshold_; }
  float factor() const { return factor_; }

  // bits[i] of element first + i of the call, for i < n.
  void draw(std::uint32_t* bits, std::int64_t first, std::int64_t n) const {
    philox_row(bits, key_, first_element_ + static_cast<std::uint64_t>(first), n);
  }

 private:
  PhiloxKey key_;
  std::uint64_t first_element_;
  std::uint32_t threshold_;
  float factor_;
  bool identity_;
};

}  // namespace weft
