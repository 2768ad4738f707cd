// The rules by which a product's kernel is chosen, and the table that goes before them.
#include "core/backend/cpu/product_choice.hpp"

#include <atomic>
#include <bit>
#include <mutex>
#include <utility>

#include "core/backend/cpu/tiles/tiles.hpp"

namespace weft {

namespace {

// AMD's family 19h with AVX-512.
bool is_zen4() {
#if defined(__x86_64__)
  return cpu_has_avx512() && __builtin_cpu_is("amdfam19h");
#else
  return false;
#endif
}

// What our tiles pack must be used often enough. For dx fewer rows pay where oneDNN is slower: in
// bf16, and in fp32 for sums as long as a vocabulary.
bool tiles_pay(const ProductCall& call) {
  const ProductShape& s = call.shape;
  const bool f32 = s.dtype == DType::f32;
  if (s.n < (f32 ? 512 : 128) || s.k < 512) return false;
  if (call.transpose_a()) return s.m >= 256;       // dw: all of c is written once per k
  if (call.transpose_b()) return s.m >= 512;       // y: the weight is transposed
  return s.m >= (f32 && s.k < 16384 ? 512 : 128);  // dx
}

ProductTable installed_table;

std::mutex recording_mutex;
std::atomic<ProductRecording*> recording = nullptr;

}  // namespace

std::string_view name_of(ProductKernel kernel) {
  switch (kernel) {
    case ProductKernel::onednn:
      return "onednn";
    case ProductKernel::onednn_packed:
      return "onednn_packed";
    case ProductKernel::tiles:
      return "tiles";
  }
  return "?";
}

std::int64_t size_class(std::int64_t size) {
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(size)));
  return power > 1 && size >= power + power / 2 ? power + power / 2 : power;
}

ProductClass class_of(const ProductCall& call) {
  const ProductShape& s = call.shape;
  return {.dtype = s.dtype,
          .transpose_a = call.transpose_a(),
          .transpose_b = call.transpose_b(),
          .b_is_weight = call.b_is_weight,
          .m = size_class(s.m),
          .n = size_class(s.n),
          .k = size_class(s.k)};
}

std::vector<ProductKernel> product_kernels(const ProductClass& product) {
  std::vector<ProductKernel> kernels{ProductKernel::onednn};
  const bool bf16 = product.dtype == DType::bf16;
  if (bf16 && !cpu_has_bf16()) return kernels;  // they are products in fp32 of widened operands
  if (product.b_is_weight) kernels.push_back(ProductKernel::onednn_packed);
  if (tile_kernels(product.dtype) != nullptr) kernels.push_back(ProductKernel::tiles);
  return kernels;
}

ProductCpu this_product_cpu() {
  static const ProductCpu cpu{.zen4 = is_zen4(), .amx = cpu_has_amx(), .bf16 = cpu_has_bf16()};
  return cpu;
}

ProductKernel product_kernel_by_rule(const ProductCall& call, ProductCpu cpu) {
  const bool bf16 = call.shape.dtype == DType::bf16;
  if (bf16 && !cpu.bf16) return ProductKernel::onednn;
  // AMX tiles read rows interleaved in pairs, so that packing a weight once is expected to pay.
  // Elsewhere it gains 1-5% and would double the weights' memory.
  if (bf16 && cpu.amx) {
    return call.b_is_weight ? ProductKernel::onednn_packed : ProductKernel::onednn;
  }
  return cpu.zen4 && tiles_pay(call) ? ProductKernel::tiles : ProductKernel::onednn;
}

ProductKernel choose_product_kernel(const ProductCall& call) {
  if (recording != nullptr) {
    const std::lock_guard lock(recording_mutex);
    if (ProductRecording* const r = recording) r->calls_.push_back(call);
  }
  if (!installed_table.empty()) {
    const auto it = installed_table.find(class_of(call));
    if (it != installed_table.end()) return it->second;
  }
  return product_kernel_by_rule(call);
}

ProductTable set_product_table(ProductTable table) {
  return std::exchange(installed_table, std::move(table));
}

ProductRecording::ProductRecording() { recording = this; }

ProductRecording::~ProductRecording() {
  const std::lock_guard lock(recording_mutex);
  recording = nullptr;
}

}  // namespace weft
