// Which elements of a row a dropout keeps, as factors to multiply with.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/backend/backend.hpp"
#include "core/backend/cpu/philox_row.hpp"

namespace weft {

// Draws the factors, 1 / (1 - p) or 0, of the elements of one dropout.
class DropoutMask {
 public:
  explicit DropoutMask(const Dropout& dropout)
      : key_(in_step(dropout.key, step_of(dropout.step))),
        first_element_(dropout.first_element),
        threshold_(drop_threshold(dropout.p)),
        kept_(keep_factor(dropout.p)),
        identity_(dropout.p == 0) {}

  bool is_identity() const { return identity_; }

  // factors[i] of element first + i of the call, for i < n.
  void draw(float* factors, std::int64_t first, std::int64_t n) const {
    constexpr std::int64_t kDrawnAtOnce = 512;
    const std::uint32_t threshold = threshold_;
    const float kept = kept_;
    std::array<std::uint32_t, kDrawnAtOnce> bits;
    for (std::int64_t i = 0; i < n; i += kDrawnAtOnce) {
      const std::int64_t count = std::min(kDrawnAtOnce, n - i);
      philox_row(bits.data(), key_, first_element_ + static_cast<std::uint64_t>(first + i), count);
#pragma omp simd
      for (std::int64_t k = 0; k < count; ++k)
        factors[i + k] = bits[static_cast<std::size_t>(k)] >= threshold ? kept : 0.0F;
    }
  }

 private:
  PhiloxKey key_;
  std::uint64_t first_element_;
  std::uint32_t threshold_;
  float kept_;
  bool identity_;
};

}  // namespace weft
