// Attention, forward: a block owns a tile of queries and streams the keys past it; the softmax is
// kept as a running maximum and sum, so that no row of scores is ever whole.
//
// Source: Dao, Fu, Ermon, Rudra, Re, "FlashAttention", 2022; Milakov and Gimelshein, "Online
// normalizer calculation for softmax", 2018.
#include "core/backend/cuda/attention_tiles.cuh"
#include "core/backend/cuda/tiled_attention.hpp"

namespace weft {

namespace {

template <int D>
struct ForwardShared {
  RowTile<D> q;
  KeyTiles<D> keys;
  WeightTile<D> p;
};

template <class T, int D>
__global__ void __launch_bounds__(kAttentionBlock)
    attention_forward_kernel(T* out, float* lse_BhT, const T* qkv, AttentionParams p) {
  WEFT_DYNAMIC_SHARED(ForwardShared<D>, shared);
  const AttentionPlace place = attention_place<D>(p, p.causal);
  load_tile<D>(shared->q, qkv, p, place, 3, 0, place.first);

  float mixed[kOwn<D>][kLaneColumns<D>] = {};
  float highest[kOwn<D>];   // of the row's scores so far
  float sum[kOwn<D>] = {};  // of exp(score - highest) over the lane's keys
  for (float& h : highest) h = kMasked;

  const std::int64_t seen = keys_seen<D>(p, place);
  for (std::int64_t first_key = 0; first_key < seen; first_key += kTile<D>) {
    load_keys<D>(shared->keys, qkv, p, place, first_key);

    float s[kOwn<D>][kStreamed<D>];
    multiply_rows<D>(s, shared->q, shared->keys.k, p.d);
    for (int r = 0; r < kOwn<D>; ++r) {
      const int i = own_row(r);
      float top = highest[r];
      for (int c = 0; c < kStreamed<D>; ++c) {
        const int j = half_lane() + kHalf * c;
        s[r][c] = s[r][c] * p.scale + shared->keys.bias[j];
        if (p.causal && first_key + j > place.first + i) s[r][c] = kMasked;
        top = fmaxf(top, s[r][c]);
      }
      top = half_max(top);
      // Without any key so far the maximum is -inf; measured from 0, exp(-inf) counts as nothing.
      const float origin = top == kMasked ? 0 : top;
      const float before = expf(highest[r] - origin);
      highest[r] = top;
      sum[r] *= before;
      for (float& m : mixed[r]) m *= before;
      for (int c = 0; c < kStreamed<D>; ++c) {
        const int j = half_lane() + kHalf * c;
        const float e = expf(s[r][c] - origin);
        sum[r] += e;
        shared->p.row[i][j] = e * keep_factor(p, shared->keys.keep, i, j);
      }
    }
    __syncwarp();  // the rows of p that a half-warp reads it has written itself
    add_weighted_rows<D>(mixed, shared->p, shared->keys.v);
  }

  for (int r = 0; r < kOwn<D>; ++r) {
    const std::int64_t query = place.first + own_row(r);
    const float total = half_sum(sum[r]);
    const float inverse = total == 0 ? 0 : 1 / total;  // a row without keys gives zeros
    for (float& m : mixed[r]) m *= inverse;
    if (half_lane() == 0 && query < p.tokens)
      lse_BhT[place.statistic(p, query)] = highest[r] + logf(total);
  }
  for (int r = 0; r < kOwn<D>; ++r) store_own_row<D>(out, p, place, 1, 0, r, mixed[r]);
}

}  // namespace

void tiled_attention_forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv,
                             const AttentionArgs& args, cudaStream_t stream) {
  const AttentionParams params(args, qkv, {&out, &qkv});
  with_floating_type(qkv.dtype(), "attention", [&]<class T>(T) {
    with_head_size(params.d, [&]<int D>(std::integral_constant<int, D>) {
      const std::int64_t blocks = qkv.shape()[0] * params.heads * params.tiles<D>();
      allow_shared_memory(attention_forward_kernel<T, D>, sizeof(ForwardShared<D>));
      WEFT_LAUNCH((attention_forward_kernel<T, D>), static_cast<unsigned>(blocks), kAttentionBlock,
                  sizeof(ForwardShared<D>), stream, out.data<T>(), lse_BhT.data<float>(),
                  qkv.data<T>(), params);
    });
  });
}

}  // namespace weft
