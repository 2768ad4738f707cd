// What both directions of attention share: tiles of query rows, operands, scratch, and the products
// by oneDNN.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/backend/backend.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/cpu/onednn.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

// Hands out parts of a block of memory; over no memory it only counts.
class Arena {
 public:
  explicit Arena(std::byte* base) : base_(base) {}

  template <class T>
  T* take(std::int64_t count) {
    std::byte* p = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(p);
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

// A matrix [T, d] inside of a larger one.
template <class T>
struct Panel {
  T* data = nullptr;
  std::int64_t stride = 0;  // between rows
  T* row(std::int64_t i) const { return data + i * stride; }
};

struct AttentionSizes {
  static constexpr std::int64_t kMaxTile = 128;  // query rows
  std::int64_t B, T, heads, d, tile;

  AttentionSizes(const Tensor& qkv, const AttentionArgs& args)
      : B(qkv.shape()[0]),
        T(qkv.shape()[1]),
        heads(args.heads),
        d(qkv.shape()[2] / (3 * args.heads)),
        tile(std::min(T, std::clamp<std::int64_t>(kTileElements / std::max<std::int64_t>(T, 1), 32,
                                                  kMaxTile))) {}

  std::int64_t tiles() const { return (T + tile - 1) / tile; }
  std::int64_t first_row(std::int64_t t) const { return t * tile; }
  std::int64_t rows(std::int64_t t) const { return std::min(tile, T - t * tile); }
  // Keys that some row of tile t may see.
  std::int64_t keys(std::int64_t t, bool causal) const {
    return causal ? first_row(t) + rows(t) : T;
  }

  // Of one head in a fused tensor [B, T, parts * heads * d].
  template <class E>
  Panel<E> panel(E* fused, std::int64_t parts, std::int64_t part, std::int64_t b,
                 std::int64_t h) const {
    const std::int64_t stride = parts * heads * d;
    return {fused + b * T * stride + (part * heads + h) * d, stride};
  }

 private:
  static constexpr std::int64_t kTileElements = 65536;  // scores of a tile: 256 KiB, if T allows
};

// The head's rows as operands of products: where they lie, or converted for a CPU without bf16.
template <class Compute, class Stored>
Panel<const Compute> operand(const Panel<const Stored>& from, const AttentionSizes& z,
                             Compute* scratch) {
  if constexpr (std::is_same_v<Compute, Stored>) {
    return from;
  } else {
    for (std::int64_t i = 0; i < z.T; ++i) {
      for (std::int64_t c = 0; c < z.d; ++c)
        scratch[i * z.d + c] = static_cast<Compute>(static_cast<float>(from.row(i)[c]));
    }
    return {scratch, z.d};
  }
}

template <class Stored>
void store_rows(const Panel<Stored>& to, std::int64_t first, std::int64_t rows, const float* from,
                std::int64_t d) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t c = 0; c < d; ++c)
      to.row(first + i)[c] = static_cast<Stored>(from[i * d + c]);
  }
}

// 0 for keys that may be attended to, -inf for the others.
inline void key_bias(float* bias, const AttentionArgs& args, std::int64_t b, std::int64_t T) {
  const auto* mask = args.key_mask_BT ? args.key_mask_BT.data<std::uint8_t>() + b * T : nullptr;
  for (std::int64_t j = 0; j < T; ++j)
    bias[j] = mask == nullptr || mask[j] != 0 ? 0.0F : -std::numeric_limits<float>::infinity();
}

using SharedProduct = std::shared_ptr<const Product>;

// Makes the products of one tile: `rows` queries, `keys` keys, heads of size d.
class AttentionProducts {
 public:
  AttentionProducts(ProductCache& cache, const AttentionSizes& z, DType compute, bool in_place)
      : cache_(cache), z_(z), compute_(compute), in_place_(in_place) {}

  // Distance of rows of q, k, v, and of out and its gradient, as operands.
  std::int64_t qkv_stride() const { return in_place_ ? 3 * z_.heads * z_.d : z_.d; }
  std::int64_t out_stride() const { return in_place_ ? z_.heads * z_.d : z_.d; }

  // [rows, keys] = x [rows, d] y [keys, d]^T
  SharedProduct scores(std::int64_t rows, std::int64_t keys, std::int64_t x_stride) const {
    return make(rows, keys, z_.d, {x_stride, 1}, {1, qkv_stride()}, keys, false);
  }
  // [rows, d] = p [rows, keys] y [keys, d]
  SharedProduct mix(std::int64_t rows, std::int64_t keys) const {
    return make(rows, z_.d, keys, {keys, 1}, {qkv_stride(), 1}, z_.d, false);
  }
  // [keys, d] (+)= p [rows, keys]^T x [rows, d]
  SharedProduct spread(std::int64_t rows, std::int64_t keys, std::int64_t x_stride,
                       bool accumulate) const {
    return make(keys, z_.d, rows, {1, keys}, {x_stride, 1}, z_.d, accumulate);
  }

 private:
  using Strides = std::array<std::int64_t, 2>;
  SharedProduct make(std::int64_t m, std::int64_t n, std::int64_t k, Strides a, Strides b,
                     std::int64_t c_row, bool accumulate) const {
    return cache_.get({.m = m,
                       .n = n,
                       .k = k,
                       .a_row = a[0],
                       .a_column = a[1],
                       .b_row = b[0],
                       .b_column = b[1],
                       .c_row = c_row,
                       .dtype = compute_,
                       .accumulate = accumulate});
  }
  ProductCache& cache_;
  const AttentionSizes& z_;
  DType compute_;
  bool in_place_;
};

// Runs f(b, h, scratch) for each sample and head. Always inside of a parallel region, which keeps
// oneDNN to one thread per product: the bits do not depend on the number of threads.
template <class F>
void for_each_head(const AttentionSizes& z, std::size_t scratch_bytes, F&& f) {
  const MemoryScope scratch_scope(MemoryUse::workspace);
  const std::int64_t per_thread = static_cast<std::int64_t>((scratch_bytes + 127) / 64 * 64);
  const Tensor scratch({omp_get_max_threads() * per_thread}, DType::u8);
#pragma omp parallel
  {
    auto* own = static_cast<std::byte*>(scratch.raw()) + omp_get_thread_num() * per_thread;
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < z.B * z.heads; ++task)
      f(task / z.heads, task % z.heads, own);
  }
}

inline std::int64_t largest_scratch(std::initializer_list<SharedProduct> products) {
  std::size_t bytes = 0;
  for (const SharedProduct& p : products) bytes = std::max(bytes, p->scratch_bytes());
  return static_cast<std::int64_t>(bytes);
}

// Calls f with (stored, compute) element types: bf16 is computed in where the CPU can.
template <class F>
void with_attention_types(DType dtype, F&& f) {
  with_compute_type(dtype, "attention", [&](auto stored) {
    if (dtype == DType::bf16 && cpu_has_bf16())
      f(bfloat16{}, bfloat16{});
    else
      f(stored, float{});
  });
}

}  // namespace weft
