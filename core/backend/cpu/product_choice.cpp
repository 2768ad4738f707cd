// The rules by which a product's kernel is chosen.
#include "core/backend/cpu/product_choice.hpp"

#include "core/backend/cpu/bf16_tiles.hpp"

namespace weft {

namespace {

// AMD's family 19h, Zen 4 where it has bf16: nobody has measured our tiles on another yet. Intel's
// vdpbf16ps is slower than products in fp32.
bool tiles_pay_on_this_cpu() {
#if defined(__x86_64__)
  static const bool pay = cpu_has_bf16_tiles() && __builtin_cpu_is("amdfam19h");
  return pay;
#else
  return false;
#endif
}

// What our tiles pack must be used often enough.
bool tiles_pay(const ProductShape& s) {
  if (s.n < 128) return false;
  const bool transposed_a = s.a_column != 1, transposed_b = s.b_column != 1;
  if (transposed_a) return s.m >= 256 && s.k >= 512;  // dw: all of c is written once per k
  if (transposed_b) return s.m >= 512 && s.k >= 512;  // y: the weight is transposed
  return s.m >= 128 && s.k >= 512;                    // dx
}

}  // namespace

ProductKernel choose_product_kernel(const ProductShape& shape, bool b_is_weight) {
  if (shape.dtype != DType::bf16) return ProductKernel::onednn;
  // AMX tiles read rows interleaved in pairs, so that packing a weight once is expected to pay.
  // Elsewhere it gains 1-5% and would double the weights' memory.
  if (cpu_has_amx()) return b_is_weight ? ProductKernel::onednn_packed : ProductKernel::onednn;
  if (tiles_pay_on_this_cpu() && tiles_pay(shape)) return ProductKernel::bf16_tiles;
  return ProductKernel::onednn;
}

}  // namespace weft
