// Attention, backward: the probabilities are computed again from the saved log-sum-exp.
//
// Source: Dao, Fu, Ermon, Rudra, Re, "FlashAttention", 2022.
#include "core/backend/cpu/attention/dropout.hpp"
#include "core/backend/cpu/attention/onednn_attention.hpp"
#include "core/backend/cpu/attention/onednn_rows.hpp"
#include "core/backend/cpu/attention/onednn_tiles.hpp"
#include "core/backend/cpu/attention/tasks.hpp"

namespace weft {

namespace {

// With S = q k^T scale, P = softmax(S), P' = dropout(P), out = P' v:
//   dv = P'^T dout, dP' = dout v^T, dS = P * (dropout(dP') - rowsum(dout * out)),
//   dq = dS k scale, dk = dS^T q scale.

template <class Stored, class Compute>
struct BackwardPass {
  static constexpr bool kInPlace = std::is_same_v<Stored, Compute>;
  struct Tile {
    SharedProduct scores, dprobabilities, dv, dq, dk;
    std::int64_t scratch_bytes() const {
      return largest_scratch({scores, dprobabilities, dv, dq, dk});
    }
  };
  struct Scratch {
    Compute *q, *k, *v, *dout, *p, *ds_compute;
    float *s, *dp, *dq, *dk, *dv, *bias;
    std::uint32_t* bits;
    std::byte* product;

    Scratch(Arena& arena, const RowTiles& z, std::int64_t product_bytes) {
      for (Compute** panel : {&q, &k, &v, &dout})
        *panel = arena.take<Compute>(kInPlace ? 0 : z.T * z.d);
      s = arena.take<float>(z.tile * z.T);
      dp = arena.take<float>(z.tile * z.T);
      if constexpr (std::is_same_v<Compute, float>) {
        p = s;
        ds_compute = dp;
      } else {
        p = arena.take<Compute>(z.tile * z.T);
        ds_compute = arena.take<Compute>(z.tile * z.T);
      }
      dq = arena.take<float>(z.tile * z.d);
      dk = arena.take<float>(z.T * z.d);
      dv = arena.take<float>(z.T * z.d);
      bias = arena.take<float>(z.T);
      bits = arena.take<std::uint32_t>(z.T);
      product = arena.take<std::byte>(product_bytes);
    }
  };

  const AttentionArgs& args;
  RowTiles z;
  TileProducts<Tile> products;

  BackwardPass(ProductCache& cache, const Tensor& qkv, const AttentionArgs& attention)
      : args(attention), z(qkv, attention), products(products_of(cache)) {}

  // The last tile, which sees as many keys as any, comes first.
  TileProducts<Tile> products_of(ProductCache& cache) const {
    const AttentionProducts make(cache, z, dtype_of<Compute>::value, kInPlace);
    return {z, [&](std::int64_t rows, std::int64_t keys, bool begins) -> Tile {
              return {.scores = make.scores(rows, keys, make.qkv_stride()),
                      .dprobabilities = make.scores(rows, keys, make.out_stride()),
                      .dv = make.spread(rows, keys, make.out_stride(), !begins),
                      .dq = make.mix(rows, keys),
                      .dk = make.spread(rows, keys, make.qkv_stride(), !begins)};
            }};
  }

  std::size_t scratch_bytes() const {
    Arena counter(nullptr);
    Scratch(counter, z, products.scratch_bytes());
    return counter.used();
  }

  void head(Stored* dqkv, const Stored* dout_all, const Stored* qkv, const Stored* out_all,
            const float* lse_all, std::int64_t b, std::int64_t h, std::byte* memory) const {
    Arena arena(memory);
    const Scratch w(arena, z, products.scratch_bytes());
    const auto q = operand<Compute>(z.panel(qkv, 3, 0, b, h), z, w.q);
    const auto k = operand<Compute>(z.panel(qkv, 3, 1, b, h), z, w.k);
    const auto v = operand<Compute>(z.panel(qkv, 3, 2, b, h), z, w.v);
    const auto out = z.panel(out_all, 1, 0, b, h);
    const auto dout_stored = z.panel(dout_all, 1, 0, b, h);
    const auto dout = operand<Compute>(dout_stored, z, w.dout);
    const float* lse = lse_all + (b * z.heads + h) * z.T;
    const AttentionDropout dropout(args, z.T, b, h);
    key_bias(w.bias, args, b, z.T);
    std::fill(w.bits, w.bits + z.T, 0U);

    for (std::int64_t t = z.tiles() - 1; t >= 0; --t) {
      const Tile& tile = products.at(z, b, t);
      const std::int64_t first = z.first_row(t), rows = z.rows(t), keys = z.keys(b, t);
      tile.scores->run(w.s, q.row(first), k.data, nullptr, w.product);
      tile.dprobabilities->run(w.dp, dout.row(first), v.data, nullptr, w.product);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t i = first + r, seen = z.keys_of_row(i, keys), at = r * keys;
        if (dropout.active()) dropout.draw(w.bits, i, 0, seen);
        const RowBackward row{.bias = w.bias,
                              .scale = args.scale,
                              .lse = lse[i],
                              .D = dot(dout_stored.row(i), out.row(i)),
                              .keep_scale = dropout.scale(),
                              .keep = {w.bits, dropout.threshold()}};
        row(w.p + at, w.ds_compute + at, w.s + at, w.dp + at, seen);
        std::fill(w.p + at + seen, w.p + at + keys, Compute(0.0F));
        std::fill(w.ds_compute + at + seen, w.ds_compute + at + keys, Compute(0.0F));
      }
      tile.dv->run(w.dv, w.p, dout.row(first), nullptr, w.product);
      tile.dk->run(w.dk, w.ds_compute, q.row(first), nullptr, w.product);
      tile.dq->run(w.dq, w.ds_compute, k.data, nullptr, w.product);
      store_rows(z.panel(dqkv, 3, 0, b, h), first, rows, w.dq, z.d, z.d);
    }
    const std::int64_t keys = z.keys(b, z.tiles() - 1);  // those behind them get nothing
    for (float* const d : {w.dk, w.dv}) std::fill(d + keys * z.d, d + z.T * z.d, 0.0F);
    store_rows(z.panel(dqkv, 3, 1, b, h), 0, z.T, w.dk, z.d, z.d);
    store_rows(z.panel(dqkv, 3, 2, b, h), 0, z.T, w.dv, z.d, z.d);
  }

  float dot(const Stored* x, const Stored* y) const {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < z.d; ++c)
      sum += static_cast<float>(x[c]) * static_cast<float>(y[c]);
    return sum;
  }
};

}  // namespace

void onednn_attention_backward(ProductCache& products, Tensor& dqkv, const Tensor& dout,
                               const Tensor& qkv, const Tensor& out, const Tensor& lse_BhT,
                               const AttentionArgs& args) {
  with_attention_types(qkv.dtype(), [&](auto stored, auto compute) {
    using Stored = decltype(stored);
    const auto elements = [](const Tensor& x) { return static_cast<const Stored*>(x.raw()); };
    const BackwardPass<Stored, decltype(compute)> backward(products, qkv, args);
    for_each_part(backward.z, 1, backward.scratch_bytes(),
                  [&](std::int64_t b, std::int64_t h, std::int64_t, std::byte* scratch) {
                    backward.head(dqkv.data<Stored>(), elements(dout), elements(qkv), elements(out),
                                  lse_BhT.data<float>(), b, h, scratch);
                  });
  });
}

}  // namespace weft
