// oneDNN behind functions of our own: its types stay in onednn.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/tensor/tensor.hpp"

namespace weft {

// Whether this CPU multiplies bf16 faster by its own instructions than f32. Otherwise kernels
// convert and compute in f32: without any, oneDNN refuses (AVX2) or is slower (AVX-512), and
// vdpbf16ps of Intel's CPUs does fewer multiply-adds a second than f32's, so that of theirs only
// AMX counts. DNNL_MAX_CPU_ISA counts.
bool cpu_has_bf16();

// Whether it has AVX-512 F, BW, VL, DQ and CD.
bool cpu_has_avx512();

// Whether it has tile registers, AMX, which oneDNN then uses.
bool cpu_has_amx();

// c[m, n] = a[m, k] b[k, n] (+ bias[n]) (+ c). Strides count elements; c's columns are adjacent.
struct ProductShape {
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t a_row = 0, a_column = 1;
  std::int64_t b_row = 0, b_column = 1;
  std::int64_t c_row = 0;
  DType dtype = DType::f32;    // of a, b and the bias
  DType c_dtype = DType::f32;  // this or f32
  bool accumulate = false;
  bool bias = false;
  bool packed_b =
      false;        // b in the layout of Product::pack(); its strides describe pack()'s source
  int threads = 1;  // of the team that run() may use

  bool operator==(const ProductShape&) const = default;
};

// A product compiled for its shape. Immutable: several threads may run one at the same time.
class Product {
 public:
  explicit Product(const ProductShape& shape);
  ~Product();

  // `scratch` has scratch_bytes() bytes, 64-byte aligned, for this call alone. With threads > 1
  // call it outside of parallel regions, with threads = 1 inside of one.
  void run(void* c, const void* a, const void* b, const void* bias, void* scratch) const;
  std::size_t scratch_bytes() const;

  // The packed form of b.
  std::size_t packed_bytes() const;
  void pack(void* packed, const void* b) const;
  bool packs_like(const Product& other) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Compiled products by shape: looking one up costs well below a microsecond, making one 40 to 1000.
// Thread-safe.
class ProductCache {
 public:
  std::shared_ptr<const Product> get(const ProductShape& shape);

 private:
  // Shapes that follow the data (the number of masked tokens) would otherwise pile up.
  static constexpr std::size_t kCapacity = 1024;

  struct Hash {
    std::size_t operator()(const ProductShape& s) const;
  };
  std::mutex mutex_;
  std::unordered_map<ProductShape, std::shared_ptr<const Product>, Hash> products_;
};

}  // namespace weft
