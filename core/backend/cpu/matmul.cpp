// Matrix products by oneDNN, or by tiles of our own.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/cpu/onednn_state.hpp"
#include "core/backend/cpu/product_choice.hpp"
#include "core/backend/cpu/tiles/product.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

CpuBackend::CpuBackend() : onednn_(std::make_unique<OneDnn>()) {}
CpuBackend::~CpuBackend() = default;

namespace {

ProductShape shape_of(const Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) {
  ProductShape s;
  s.m = c.shape().rows();
  s.n = c.shape().last();
  s.k = args.transpose_a ? a.shape().rows() : a.shape().last();
  s.a_row = args.transpose_a ? 1 : s.k;
  s.a_column = args.transpose_a ? s.m : 1;
  s.b_row = args.transpose_b ? 1 : s.n;
  s.b_column = args.transpose_b ? s.k : 1;
  s.c_row = s.n;
  s.dtype = b.dtype();
  s.c_dtype = c.dtype();
  s.accumulate = args.accumulate;
  s.bias = static_cast<bool>(args.bias);
  s.threads = omp_in_parallel() ? 1 : omp_get_max_threads();
  assert(a.numel() == s.m * s.k && b.numel() == s.k * s.n && a.dtype() == b.dtype());
  assert(c.dtype() == a.dtype() || c.dtype() == DType::f32);
  assert(!args.bias || (args.bias.numel() == s.n && args.bias.dtype() == b.dtype()));
  return s;
}

// Without inner dims every sum is empty: c becomes the bias, or zero.
void product_of_nothing(CpuBackend& cpu, Tensor& c, const MatmulArgs& args) {
  if (!args.accumulate) cpu.fill(c, 0.0F);
  if (!args.bias) return;
  for (std::int64_t row = 0; row < c.shape().rows(); ++row) {
    Tensor part = c.slice_flat(row * c.shape().last(), args.bias.shape());
    cpu.add(part, part, args.bias);
  }
}

}  // namespace

void CpuBackend::matmul(Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) {
  assert(!args.before_activation);
  assert(!args.a_sums || args.transpose_a);
  const auto sum_a = [&] {
    Tensor sums = args.a_sums;
    if (sums) sum_rows(sums, a);
  };
  if (c.numel() == 0 || a.numel() == 0) {
    sum_a();
    if (c.numel() > 0) product_of_nothing(*this, c, args);
    return;
  }
  const MemoryScope scratch_scope(MemoryUse::workspace);
  ProductShape shape = shape_of(c, a, b, args);
  const ProductKernel kernel = choose_product_kernel(
      {.shape = shape, .b_is_weight = args.b_is_weight, .a_sums = static_cast<bool>(args.a_sums)});
  if (kernel == ProductKernel::tiles) {
    return tiled_product(shape, {.c = c.raw(),
                                 .a = a.raw(),
                                 .b = b.raw(),
                                 .bias = args.bias.raw(),
                                 .a_sums = args.a_sums ? args.a_sums.data<float>() : nullptr});
  }
  sum_a();
  if (a.dtype() == DType::bf16 && !cpu_has_bf16()) {
    const auto widened = [this](const Tensor& x) {
      if (!x || x.dtype() == DType::f32) return x;
      Tensor y = empty_like(x, DType::f32);
      copy(y, x);
      return y;
    };
    MatmulArgs args_f32 = args;
    args_f32.a_sums = {};
    args_f32.b_is_weight = false;  // what is multiplied is not the weight itself
    args_f32.bias = widened(args.bias);
    Tensor c_f32 = c.dtype() == DType::f32 ? c
                   : args.accumulate       ? widened(c)
                                           : empty_like(c, DType::f32);
    const Tensor b_f32 = args.b_is_weight ? onednn_->packed.widened(b, *this) : widened(b);
    matmul(c_f32, widened(a), b_f32, args_f32);
    if (c.dtype() != DType::f32) copy(c, c_f32);
    return;
  }

  shape.packed_b = kernel == ProductKernel::onednn_packed;
  const std::shared_ptr<const Product> product = onednn_->products.get(shape);
  const Tensor packed = shape.packed_b ? onednn_->packed.get(b, product) : b;
  const auto scratch_bytes = static_cast<std::int64_t>(product->scratch_bytes());
  const Tensor scratch = scratch_bytes > 0 ? Tensor({scratch_bytes}, DType::u8) : Tensor{};
  product->run(c.raw(), a.raw(), packed.raw(), args.bias.raw(), scratch.raw());
}

}  // namespace weft
