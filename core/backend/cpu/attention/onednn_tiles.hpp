// What both directions of attention with oneDNN share: tiles of query rows, operands, products.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <map>
#include <tuple>
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
                                                  kMaxTile))),
        causal_(args.causal) {
    for (std::int64_t b = 0; b < B; ++b) visible_.push_back(keys_of(args, b, T));
  }

  std::int64_t tiles() const { return (T + tile - 1) / tile; }
  std::int64_t first_row(std::int64_t t) const { return t * tile; }
  std::int64_t rows(std::int64_t t) const { return std::min(tile, T - t * tile); }
  // Keys of sample b that some row of tile t may see, up to a whole unit: each other number would
  // be other products, which take a millisecond to make.
  std::int64_t keys(std::int64_t b, std::int64_t t) const {
    const std::int64_t visible = visible_[static_cast<std::size_t>(b)];
    const std::int64_t last = causal_ ? std::min(visible, first_row(t) + rows(t)) : visible;
    return std::min(T, std::max<std::int64_t>(1, (last + kKeyUnit - 1) / kKeyUnit) * kKeyUnit);
  }
  // Those of them that row i may see as far as its place tells.
  std::int64_t keys_of_row(std::int64_t i, std::int64_t keys) const {
    return causal_ ? std::min(i + 1, keys) : keys;
  }

 private:
  static constexpr std::int64_t kTileElements = 65536;  // scores of a tile: 256 KiB, if T allows
  static constexpr std::int64_t kKeyUnit = 64;
  bool causal_;
  std::vector<std::int64_t> visible_;  // keys of each sample up to its last one
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

// The products of tiles by rows, keys and whether they begin the sums over tiles.
template <class Tile>
class TileProducts {
 public:
  // `make(rows, keys, begins)` for every tile of every sample.
  template <class Make>
  TileProducts(const RowTiles& z, const Make& make) {
    for (std::int64_t b = 0; b < z.B; ++b) {
      for (std::int64_t t = 0; t < z.tiles(); ++t) {
        const Key key{z.rows(t), z.keys(b, t), t + 1 == z.tiles()};
        if (!tiles_.contains(key)) tiles_.emplace(key, std::apply(make, key));
      }
    }
  }
  const Tile& at(const RowTiles& z, std::int64_t b, std::int64_t t) const {
    return tiles_.at({z.rows(t), z.keys(b, t), t + 1 == z.tiles()});
  }
  std::int64_t scratch_bytes() const {
    std::int64_t bytes = 0;
    for (const auto& [key, tile] : tiles_) bytes = std::max(bytes, tile.scratch_bytes());
    return bytes;
  }

 private:
  using Key = std::tuple<std::int64_t, std::int64_t, bool>;
  std::map<Key, Tile> tiles_;
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
