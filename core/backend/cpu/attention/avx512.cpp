// Attention in fp32 with AVX-512, whatever the rest of the program is compiled for.
#include "core/backend/cpu/attention/includes.hpp"
#include "core/backend/cpu/attention/single_units.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // in g++ 12's own header (PR 105593)
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")

namespace weft {

namespace avx512 {

#include "core/backend/cpu/attention/avx512_exp.inc"

// Thirty-two registers; sixteen sums keep two multiply-adds per cycle busy.
struct Level : SingleUnits {
  static constexpr int kLanes = 16, kRows = 8, kVectors = 2;
  using Floats [[gnu::vector_size(64)]] = float;
  using Units = Floats;

  static Floats exp(Floats x) {
    return reinterpret_cast<Floats>(avx512_exp(reinterpret_cast<__m512>(x)));
  }

  static Floats multiply_add(Floats sum, float left, Units right) { return sum + left * right; }
};

#include "core/backend/cpu/attention/kernels.inc"

}  // namespace avx512

AttentionKernels avx512_attention_kernels() { return avx512::kernels(); }

}  // namespace weft

#pragma GCC diagnostic pop
#pragma GCC pop_options
#else
namespace weft {
AttentionKernels avx512_attention_kernels() { return baseline_attention_kernels(); }
}  // namespace weft
#endif
