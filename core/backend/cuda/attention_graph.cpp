// Attention, forward and backward, as graphs of tensor operations.
//
// cuDNN recognises attention by the shape of these graphs and runs it as one kernel that never
// holds a T x T matrix: the order of operations and the types between them are what it expects.
//
// Source: Dao, Fu, Ermon, Rudra, Re, "FlashAttention", 2022.
#include "core/backend/cuda/attention_graph.hpp"

#include <limits>

namespace weft {

namespace {

using graph::Graph;
using graph::Layout;
using graph::MaybeValue;
using graph::Type;
using graph::Value;

Layout panel(const AttentionSignature& z, std::int64_t heads, std::int64_t T, std::int64_t stride) {
  return {{z.B, heads, T, z.d}, {T * stride, z.d, stride, 1}};
}
Layout query_panel(const AttentionSignature& z) { return panel(z, z.heads, z.T, z.q_stride); }
Layout key_panel(const AttentionSignature& z) { return panel(z, z.kv_heads, z.kv_T, z.kv_stride); }
Layout out_panel(const AttentionSignature& z) { return panel(z, z.heads, z.T, z.out_stride); }
Layout per_row(const AttentionSignature& z) { return graph::contiguous({z.B, z.heads, z.T, 1}); }

// What forward and backward have in common.
struct Inputs {
  const AttentionSignature& z;
  Type type;
  Value q, k_transposed;
  MaybeValue query_lengths, key_lengths;
  MaybeValue keep;  // 1 where dropout keeps, else 0

  Inputs(Graph& g, const AttentionSignature& signature)
      : z(signature),
        type(graph::type_of(z.dtype)),
        q(g.memory(kQuery, type, query_panel(z))),
        k_transposed(g.memory(kKey, type, graph::transposed(key_panel(z)))) {
    if (z.padded) {
      const Layout per_sample = graph::contiguous({z.B, 1, 1, 1});
      query_lengths = g.memory(kQueryLengths, Type::i32, per_sample);
      key_lengths = g.memory(kKeyLengths, Type::i32, per_sample);
    }
    if (z.dropout_p > 0) {
      const Layout one = graph::contiguous({1, 1, 1, 1});
      const Value seed = g.memory(kSeed, Type::i64, one),
                  offset = g.memory(kOffset, Type::i64, one);
      keep = g.bernoulli(seed, offset, 1.0 - double{z.dropout_p}, {z.B, z.heads, z.T, z.kv_T});
    }
  }

  float keep_scale() const { return 1.0F / (1.0F - z.dropout_p); }

  // q k^T scale, -inf beyond the lengths.
  Value scores(bool zero_padding) const {
    Value s = matmul(q, k_transposed,
                     {.rows = query_lengths, .columns = key_lengths, .zero_padding = zero_padding});
    s = s * z.scale;
    if (!z.padded) return s;
    const Value inside = position(s, 2) < *query_lengths && position(s, 3) < *key_lengths;
    return select(inside, s, kHidden);
  }
  // -inf for the keys after a query.
  Value causal(const Value& s) const {
    return z.causal ? select(position(s, 2) >= position(s, 3), s, kHidden) : s;
  }

 private:
  static constexpr float kHidden = -std::numeric_limits<float>::infinity();
};

}  // namespace

// P = softmax(mask(q k^T scale)), out = dropout(P) v, lse = log of the sum of exp(scores).
void attention_forward_graph(Graph& g, const AttentionSignature& z) {
  const Inputs in(g, z);
  const Value v = g.memory(kValue, in.type, key_panel(z));

  const Value s = in.causal(in.scores(z.padded));
  const Value highest = row_max(s);
  const Value e = exp(s - highest);
  const Value sum = row_sum(e);
  g.output(kLse, highest + log(sum), Type::f32, per_row(z));

  Value p = e / sum;
  if (in.keep) p = p * *in.keep * in.keep_scale();
  const Value out =
      matmul(g.as(p, in.type), v, {.rows = in.query_lengths, .inner = in.key_lengths});
  g.output(kOut, out, in.type, out_panel(z));
}

// With P' = dropout(P), out = P' v:
//   dv = P'^T dout, dP' = dout v^T, dS = P * (dropout(dP') - rowsum(dout * out)),
//   dq = dS k scale, dk = dS^T q scale.
// The factor 1 / (1 - p) of dropout(dP') is applied to the difference, so that the row sums are
// taken times 1 - p.
void attention_backward_graph(Graph& g, const AttentionSignature& z) {
  const Inputs in(g, z);
  const Value v_transposed = g.memory(kValue, in.type, graph::transposed(key_panel(z)));
  const Value out = g.memory(kOut, in.type, out_panel(z));
  const Value dout = g.memory(kDout, in.type, out_panel(z));
  const Value lse = g.memory(kLse, Type::f32, per_row(z));

  // In memory: every tile of keys needs them.
  const Value row_sums =
      g.output(kRowSums, row_sum(dout * out) * (1.0F - z.dropout_p), Type::f32, per_row(z));

  const Value p = exp(in.causal(in.scores(false) - lse));
  const Value dropped = in.keep ? p * *in.keep * in.keep_scale() : p;
  // The gradient of a panel of keys or values, summed over the query heads that it served.
  const auto key_gradient = [&](AttentionSlot slot, const Value& weights, const Value& rows) {
    const Value turned = g.as(transpose(weights), in.type);
    Value dx = matmul(turned, rows, {.rows = in.key_lengths, .inner = in.query_lengths});
    if (z.heads != z.kv_heads) dx = sum_heads(g.as(dx, in.type), z.kv_heads);
    g.output(slot, dx, in.type, key_panel(z));
  };
  key_gradient(kDvalue, dropped, dout);

  Value dp = matmul(dout, v_transposed, {.rows = in.query_lengths, .columns = in.key_lengths});
  if (in.keep) dp = dp * *in.keep;
  Value ds = (dp - row_sums) * p;
  if (in.keep) ds = ds * in.keep_scale();
  ds = g.as(ds * z.scale, in.type);
  key_gradient(kDkey, ds, in.q);

  Value dq =
      matmul(ds, transpose(in.k_transposed), {.rows = in.query_lengths, .inner = in.key_lengths});
  // Tiles of keys add to dq in the order in which they come, which sums in fp32 bear best; without
  // such sums cuDNN takes a kernel with a fixed order.
  if (!z.deterministic)
    dq = copy(g.output(kDquerySums, dq, Type::f32, graph::contiguous({z.B, z.heads, z.T, z.d})));
  g.output(kDquery, dq, in.type, query_panel(z));
}

}  // namespace weft
