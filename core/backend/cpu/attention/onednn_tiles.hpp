// What both directions of attention with oneDNN share: tiles of query rows, operands, products.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <type_traits>
#include <vector>

#include "core/backend/cpu/attention/head.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/cpu/onednn.hpp"

namespace weft {

// The tiles of query rows that meet all keys at once.
struct RowTiles : AttentionSizes {
  static constexpr std::int64_t kMaxTile = 128;  // query rows
  std::int64_t tile;

  RowTiles(const Tensor& qkv, const AttentionArgs& args)
      : AttentionSizes(qkv, args),
        tile(std::min(T, std::clamp<std::int64_t>(kTileElements / std::max<std::int64_t>(T, 1), 32,
                                                  kMaxTile))) {}

  std::int64_t tiles() const { return (T + tile - 1) / tile; }
  std::int64_t first_row(std::int64_t t) const { return t * tile; }
  std::int64_t rows(std::int64_t t) const { return std::min(tile, T - t * tile); }
  // Keys that some row of tile t may see.
  std::int64_t keys(std::int64_t t, bool causal) const {
    return causal ? first_row(t) + rows(t) : T;
  }

 private:
  static constexpr std::int64_t kTileElements = 65536;  // scores of a tile: 256 KiB, if T allows
};

// The head's rows as operands of products: where they lie, or converted for a CPU without bf16.
template <class Compute, class Stored>
Panel<const Compute> operand(const Panel<const Stored>& from, const RowTiles& z, Compute* scratch) {
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

using SharedProduct = std::shared_ptr<const Product>;

// Makes the products of one tile: `rows` queries, `keys` keys, heads of size d.
class AttentionProducts {
 public:
  AttentionProducts(ProductCache& cache, const RowTiles& z, DType compute, bool in_place)
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
  const RowTiles& z_;
  DType compute_;
  bool in_place_;
};

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
