// Attention, backward: the probabilities are computed again from the saved log-sum-exp, once by the
// queries' blocks for dq and once by the keys' blocks for dk and dv. So each gradient has one
// owner, who sums it in a fixed order: seven products of tiles instead of five, but no atomics.
//
// Source: Dao, Fu, Ermon, Rudra, Re, "FlashAttention", 2022.
#include "core/backend/cuda/attention_tiles.cuh"
#include "core/backend/cuda/tiled_attention.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

namespace {

// With S = q k^T scale, P = softmax(S), P' = dropout(P), out = P' v:
//   dv = P'^T dout, dP' = dout v^T, dS = P * (dropout(dP') - rowsum(dout * out)),
//   dq = dS k scale, dk = dS^T q scale.

// From which the exponents of P are measured: the log-sum-exp, or +inf, which makes them all 0, for
// a query without keys and beyond the last token.
__device__ float shift_of(const float* lse_BhT, const AttentionParams& p, AttentionPlace place,
                          std::int64_t query) {
  const float lse = query < p.tokens ? lse_BhT[place.statistic(p, query)] : -kMasked;
  return lse == kMasked ? -kMasked : lse;
}

template <int D>
struct QueryShared {
  RowTile<D> q, dout;
  KeyTiles<D> keys;
  WeightTile<D> ds;
};

// dq, and delta [B, h, T] = rowsum(dout * out) for the other kernel.
template <class T, int D>
__global__ void __launch_bounds__(kAttentionBlock)
    attention_backward_queries_kernel(T* dqkv, float* delta_BhT, const T* dout, const T* qkv,
                                      const T* out, const float* lse_BhT, AttentionParams p) {
  WEFT_DYNAMIC_SHARED(QueryShared<D>, shared);
  const AttentionPlace place = attention_place<D>(p, p.causal);
  load_tile<D>(shared->q, qkv, p, place, 3, 0, place.first);
  load_tile<D>(shared->dout, dout, p, place, 1, 0, place.first);

  float dq[kOwn<D>][kLaneColumns<D>] = {};
  float shift[kOwn<D>], delta[kOwn<D>];
  for (int r = 0; r < kOwn<D>; ++r) {
    const std::int64_t query = place.first + own_row(r);
    shift[r] = shift_of(lse_BhT, p, place, query);
    float dot = 0;
    for (int c = half_lane(); query < p.tokens && c < p.d; c += kHalf) {
      dot += to_float(place.row(dout, p, 1, 0, query)[c]) *
             to_float(place.row(out, p, 1, 0, query)[c]);
    }
    delta[r] = half_sum(dot);
    if (half_lane() == 0 && query < p.tokens) delta_BhT[place.statistic(p, query)] = delta[r];
  }

  const std::int64_t seen = keys_seen<D>(p, place);
  for (std::int64_t first_key = 0; first_key < seen; first_key += kTile<D>) {
    load_keys<D>(shared->keys, qkv, p, place, first_key);

    float s[kOwn<D>][kStreamed<D>], dp[kOwn<D>][kStreamed<D>];
    multiply_rows<D>(s, shared->q, shared->keys.k, p.d);
    multiply_rows<D>(dp, shared->dout, shared->keys.v, p.d);
    for (int r = 0; r < kOwn<D>; ++r) {
      const int i = own_row(r);
      for (int c = 0; c < kStreamed<D>; ++c) {
        const int j = half_lane() + kHalf * c;
        const float softmax = expf(s[r][c] * p.scale + shared->keys.bias[j] - shift[r]);
        const float kept = keep_factor(p, shared->keys.keep, i, j);
        const bool hidden = p.causal && first_key + j > place.first + i;
        shared->ds.row[i][j] = hidden ? 0 : softmax * (dp[r][c] * kept - delta[r]) * p.scale;
      }
    }
    __syncwarp();  // the rows of ds that a half-warp reads it has written itself
    add_weighted_rows<D>(dq, shared->ds, shared->keys.k);
  }
  for (int r = 0; r < kOwn<D>; ++r) store_own_row<D>(dqkv, p, place, 3, 0, r, dq[r]);
}

template <int D>
struct KeyShared {
  RowTile<D> k, v, q, dout;
  WeightTile<D> p, ds;
  float shift[kTile<D>], delta[kTile<D>];
  unsigned keep[kTile<D>];
};

// dk and dv: here a tile of keys is owned and the queries are streamed.
template <class T, int D>
__global__ void __launch_bounds__(kAttentionBlock)
    attention_backward_keys_kernel(T* dqkv, const T* dout, const T* qkv, const float* lse_BhT,
                                   const float* delta_BhT, AttentionParams p) {
  WEFT_DYNAMIC_SHARED(KeyShared<D>, shared);
  const AttentionPlace place = attention_place<D>(p, false);
  load_tile<D>(shared->k, qkv, p, place, 3, 1, place.first);
  load_tile<D>(shared->v, qkv, p, place, 3, 2, place.first);

  float dk[kOwn<D>][kLaneColumns<D>] = {}, dv[kOwn<D>][kLaneColumns<D>] = {};
  float bias[kOwn<D>];
  for (int r = 0; r < kOwn<D>; ++r) bias[r] = key_bias(p, place, place.first + own_row(r));

  // Under a causal mask no earlier query sees these keys.
  for (std::int64_t first_query = p.causal ? place.first : 0; first_query < p.tokens;
       first_query += kTile<D>) {
    __syncthreads();  // the tile before is no longer read
    load_tile<D>(shared->q, qkv, p, place, 3, 0, first_query);
    load_tile<D>(shared->dout, dout, p, place, 1, 0, first_query);
    if (threadIdx.x < kTile<D>) {
      const std::int64_t query = first_query + threadIdx.x;
      shared->shift[threadIdx.x] = shift_of(lse_BhT, p, place, query);
      shared->delta[threadIdx.x] = query < p.tokens ? delta_BhT[place.statistic(p, query)] : 0;
    }
    draw_keep<D>(shared->keep, p, place, first_query, place.first);
    __syncthreads();

    float s[kOwn<D>][kStreamed<D>], dp[kOwn<D>][kStreamed<D>];
    multiply_rows<D>(s, shared->k, shared->q, p.d);
    multiply_rows<D>(dp, shared->v, shared->dout, p.d);
    for (int r = 0; r < kOwn<D>; ++r) {
      const int j = own_row(r);
      for (int c = 0; c < kStreamed<D>; ++c) {
        const int i = half_lane() + kHalf * c;
        const bool hidden = p.causal && place.first + j > first_query + i;
        const float softmax = hidden ? 0 : expf(s[r][c] * p.scale + bias[r] - shared->shift[i]);
        const float kept = keep_factor(p, shared->keep, i, j);
        shared->p.row[j][i] = softmax * kept;
        shared->ds.row[j][i] =
            hidden ? 0 : softmax * (dp[r][c] * kept - shared->delta[i]) * p.scale;
      }
    }
    __syncwarp();  // the rows of p and ds that a half-warp reads it has written itself
    add_weighted_rows<D>(dv, shared->p, shared->dout);
    add_weighted_rows<D>(dk, shared->ds, shared->q);
  }
  for (int r = 0; r < kOwn<D>; ++r) store_own_row<D>(dqkv, p, place, 3, 1, r, dk[r]);
  for (int r = 0; r < kOwn<D>; ++r) store_own_row<D>(dqkv, p, place, 3, 2, r, dv[r]);
}

}  // namespace

void tiled_attention_backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv,
                              const Tensor& out, const Tensor& lse_BhT, const AttentionArgs& args,
                              cudaStream_t stream) {
  const AttentionParams params(args, qkv, {&dqkv, &dout, &qkv});
  const MemoryScope scratch_scope(MemoryUse::workspace);
  const Tensor delta_BhT = empty_like(lse_BhT);
  with_floating_type(qkv.dtype(), "attention", [&]<class T>(T) {
    with_head_size(params.d, [&]<int D>(std::integral_constant<int, D>) {
      const std::int64_t blocks = qkv.shape()[0] * params.heads * params.tiles<D>();
      allow_shared_memory(attention_backward_queries_kernel<T, D>, sizeof(QueryShared<D>));
      WEFT_LAUNCH((attention_backward_queries_kernel<T, D>), static_cast<unsigned>(blocks),
                  kAttentionBlock, sizeof(QueryShared<D>), stream, dqkv.data<T>(),
                  delta_BhT.data<float>(), dout.data<T>(), qkv.data<T>(), out.data<T>(),
                  lse_BhT.data<float>(), params);
      allow_shared_memory(attention_backward_keys_kernel<T, D>, sizeof(KeyShared<D>));
      WEFT_LAUNCH((attention_backward_keys_kernel<T, D>), static_cast<unsigned>(blocks),
                  kAttentionBlock, sizeof(KeyShared<D>), stream, dqkv.data<T>(), dout.data<T>(),
                  qkv.data<T>(), lse_BhT.data<float>(), delta_BhT.data<float>(), params);
    });
  });
}

}  // namespace weft
