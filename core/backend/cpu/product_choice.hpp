// Which kernel multiplies: the one place that says so.
#pragma once

#include <compare>
#include <map>
#include <string_view>
#include <vector>

#include "core/backend/cpu/onednn.hpp"

namespace weft {

enum class ProductKernel { onednn, onednn_packed, tiles };

inline constexpr ProductKernel kProductKernels[] = {
    ProductKernel::onednn, ProductKernel::onednn_packed, ProductKernel::tiles};

std::string_view name_of(ProductKernel kernel);

// What a kernel is chosen for.
struct ProductCall {
  ProductShape shape;
  bool b_is_weight = false;
  bool a_sums = false;

  bool transpose_a() const { return shape.a_column != 1; }
  bool transpose_b() const { return shape.b_column != 1; }
};

// Products for which one measured choice stands: sizes that follow the data, as the number of
// masked places, hardly leave their class. All threads and all ranks choose alike.
struct ProductClass {
  DType dtype = DType::f32;
  bool transpose_a = false, transpose_b = false, b_is_weight = false;
  std::int64_t m = 0, n = 0, k = 0;  // the least size of each: see size_class()

  auto operator<=>(const ProductClass&) const = default;
};

// The largest of 1, 2, 3, 4, 6, 8, 12, 16, 24 ... that is not above `size`.
std::int64_t size_class(std::int64_t size);
ProductClass class_of(const ProductCall& call);

using ProductTable = std::map<ProductClass, ProductKernel>;

// The kernels that multiply such products on this CPU; oneDNN, which can do all, comes first.
std::vector<ProductKernel> product_kernels(const ProductClass& product);

// What the rule knows of a CPU. It was measured on AMD's Zen 4 with AVX-512 alone
// (docs/benchmarks/cpu.md); elsewhere it is a guess.
struct ProductCpu {
  bool zen4 = false, amx = false;
  bool bf16 = false;  // cpu_has_bf16()
};
ProductCpu this_product_cpu();

// By the CPU, the shape and the layouts alone.
ProductKernel product_kernel_by_rule(const ProductCall& call, ProductCpu cpu = this_product_cpu());

// The table's kernel where the table has the product's class, else the rule's. Never by the clock:
// the kernels differ in the last bits.
ProductKernel choose_product_kernel(const ProductCall& call);

// Makes all later products use this table, whose kernels this CPU has for their classes; an empty
// one leaves them to the rule. Returns the one before. Not while products are computed.
ProductTable set_product_table(ProductTable table);

// Collects what choose_product_kernel() is asked for while this object lives; one at a time.
class ProductRecording {
 public:
  ProductRecording();
  ~ProductRecording();
  ProductRecording(const ProductRecording&) = delete;
  ProductRecording& operator=(const ProductRecording&) = delete;

  const std::vector<ProductCall>& calls() const { return calls_; }

 private:
  friend ProductKernel choose_product_kernel(const ProductCall& call);
  std::vector<ProductCall> calls_;
};

}  // namespace weft
