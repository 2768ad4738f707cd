// Attention in fp32 with the instructions that the whole program is compiled for: AVX2, if nobody
// chose others.
#include "core/backend/cpu/attention/includes.hpp"
#include "core/backend/cpu/attention/single_units.hpp"

namespace weft {

namespace baseline {

// Sixteen registers: twelve for a tile of 4 x 24, three for the right operand, one for the left.
struct Level : SingleUnits {
  static constexpr int kLanes = 8, kRows = 4, kVectors = 3;
  using Floats [[gnu::vector_size(32)]] = float;
  using Units = Floats;

  static Floats multiply_add(Floats sum, float left, Units right) { return sum + left * right; }

  static Floats exp(Floats x) {
    Floats y;
#pragma omp simd
    for (int l = 0; l < kLanes; ++l) y[l] = fast_exp(x[l]);
    return y;
  }
};

#include "core/backend/cpu/attention/kernels.inc"

}  // namespace baseline

AttentionKernels baseline_attention_kernels() { return baseline::kernels(); }

}  // namespace weft
