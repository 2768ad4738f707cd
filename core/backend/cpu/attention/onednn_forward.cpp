// Attention, forward: a tile of query rows against all keys at a time, one (sample, head) per
// thread. A whole row of scores fits the cache, so that the softmax needs no running maximum.
#include "core/backend/cpu/attention/dropout.hpp"
#include "core/backend/cpu/attention/onednn_attention.hpp"
#include "core/backend/cpu/attention/onednn_rows.hpp"
#include "core/backend/cpu/attention/onednn_tiles.hpp"
#include "core/backend/cpu/attention/tasks.hpp"

namespace weft {

namespace {

template <class Stored, class Compute>
struct Forward {
  static constexpr bool kInPlace = std::is_same_v<Stored, Compute>;
  struct Tile {
    SharedProduct scores, mix;
    std::int64_t scratch_bytes() const { return largest_scratch({scores, mix}); }
  };
  struct Scratch {
    Compute *q, *k, *v, *p;
    float *s, *out, *bias;
    std::uint32_t* bits;
    std::byte* product;

    Scratch(Arena& arena, const RowTiles& z, std::int64_t product_bytes) {
      q = arena.take<Compute>(kInPlace ? 0 : z.T * z.d);
      k = arena.take<Compute>(kInPlace ? 0 : z.T * z.d);
      v = arena.take<Compute>(kInPlace ? 0 : z.T * z.d);
      s = arena.take<float>(z.tile * z.T);
      if constexpr (std::is_same_v<Compute, float>)
        p = s;
      else
        p = arena.take<Compute>(z.tile * z.T);
      out = arena.take<float>(z.tile * z.d);
      bias = arena.take<float>(z.T);
      bits = arena.take<std::uint32_t>(z.T);
      product = arena.take<std::byte>(product_bytes);
    }
  };

  const AttentionArgs& args;
  RowTiles z;
  TileProducts<Tile> products;

  Forward(ProductCache& cache, const Tensor& qkv, const AttentionArgs& attention)
      : args(attention), z(qkv, attention), products(products_of(cache)) {}

  TileProducts<Tile> products_of(ProductCache& cache) const {
    const AttentionProducts make(cache, z, dtype_of<Compute>::value, kInPlace);
    return {z, [&](std::int64_t rows, std::int64_t keys, bool) -> Tile {
              return {make.scores(rows, keys, make.qkv_stride()), make.mix(rows, keys)};
            }};
  }

  std::size_t scratch_bytes() const {
    Arena counter(nullptr);
    Scratch(counter, z, products.scratch_bytes());
    return counter.used();
  }

  void head(Stored* out_all, float* lse_all, const Stored* qkv, std::int64_t b, std::int64_t h,
            std::byte* memory) const {
    Arena arena(memory);
    const Scratch w(arena, z, products.scratch_bytes());
    const auto q = operand<Compute>(z.panel(qkv, 3, 0, b, h), z, w.q);
    const auto k = operand<Compute>(z.panel(qkv, 3, 1, b, h), z, w.k);
    const auto v = operand<Compute>(z.panel(qkv, 3, 2, b, h), z, w.v);
    const auto out = z.panel(out_all, 1, 0, b, h);
    float* lse = lse_all + (b * z.heads + h) * z.T;
    const AttentionDropout dropout(args, z.T, b, h);
    key_bias(w.bias, args, b, z.T);
    std::fill(w.bits, w.bits + z.T, 0U);

    for (std::int64_t t = 0; t < z.tiles(); ++t) {
      const Tile& tile = products.at(z, b, t);
      const std::int64_t first = z.first_row(t), rows = z.rows(t), keys = z.keys(b, t);
      tile.scores->run(w.s, q.row(first), k.data, nullptr, w.product);
      std::array<float, RowTiles::kMaxTile> factor;
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t seen = z.keys_of_row(first + r, keys);
        Compute* p = w.p + r * keys;
        if (dropout.active()) dropout.draw(w.bits, first + r, 0, seen);
        const RowSum sum = exponentials(p, w.s + r * keys, w.bias, args.scale,
                                        {w.bits, dropout.threshold()}, seen);
        std::fill(p + seen, p + keys, Compute(0.0F));
        factor[static_cast<std::size_t>(r)] = sum.inverse * dropout.scale();
        lse[first + r] = sum.lse;
      }
      tile.mix->run(w.out, w.p, v.data, nullptr, w.product);
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < z.d; ++c)
          w.out[r * z.d + c] *= factor[static_cast<std::size_t>(r)];
      }
      store_rows(out, first, rows, w.out, z.d, z.d);
    }
  }
};

}  // namespace

void onednn_attention_forward(ProductCache& products, Tensor& out, Tensor& lse_BhT,
                              const Tensor& qkv, const AttentionArgs& args) {
  with_attention_types(qkv.dtype(), [&](auto stored, auto compute) {
    using Stored = decltype(stored);
    const Forward<Stored, decltype(compute)> forward(products, qkv, args);
    for_each_part(forward.z, 1, forward.scratch_bytes(),
                  [&](std::int64_t b, std::int64_t h, std::int64_t, std::byte* scratch) {
                    forward.head(out.data<Stored>(), lse_BhT.data<float>(),
                                 static_cast<const Stored*>(qkv.raw()), b, h, scratch);
                  });
  });
}

}  // namespace weft
