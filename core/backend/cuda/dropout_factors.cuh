// Which elements a dropout keeps, as factors to multiply with: the CPU's masks, bit for bit.
#pragma once

#include <cstdint>

#include "core/backend/backend.hpp"
#include "core/backend/cuda/device_math.cuh"

namespace weft {

// Draws the factors, 1 / (1 - p) or 0, of the elements of one dropout.
class DropoutFactors {
 public:
  explicit DropoutFactors(const Dropout& dropout)
      : key_(dropout.key),
        step_(step_of(dropout.step)),
        first_(dropout.first_element),
        threshold_(drop_threshold(dropout.p)),
        kept_(keep_factor(dropout.p)),
        identity_(dropout.p == 0) {}

  WEFT_HOST_DEVICE bool is_identity() const { return identity_; }

  // factors[i] of element first + i of the call. Packs that begin with a group of four elements, as
  // those of every tensor whose rows do, take one call of Philox for each group.
  template <int N>
  __device__ void draw(float (&factors)[N], std::int64_t first) const {
    const std::uint64_t element = first_ + static_cast<std::uint64_t>(first);
    const PhiloxKey key = key_in_step(key_, step_);
    if (N % 4 == 0 && element % 4 == 0) {
      WEFT_UNROLL
      for (int i = 0; i + 4 <= N; i += 4) {
        const Philox4 group = philox(key, element / 4 + static_cast<unsigned>(i / 4));
        WEFT_UNROLL
        for (int k = 0; k < 4; ++k) factors[i + k] = factor(group.v[k]);
      }
      return;
    }
    WEFT_UNROLL
    for (int i = 0; i < N; ++i)
      factors[i] = factor(philox_u32(key, element + static_cast<unsigned>(i)));
  }

 private:
  __device__ float factor(std::uint32_t bits) const { return bits >= threshold_ ? kept_ : 0.0F; }

  PhiloxKey key_;
  const std::int32_t* step_;  // or null
  std::uint64_t first_;
  std::uint32_t threshold_;
  float kept_;
  bool identity_;
};

}  // namespace weft
