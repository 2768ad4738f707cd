// What the attention kernels share: tiles of rows in shared memory, and the products of tiles.
//
// A block of 8 half-warps works on one (sample, head). It owns a tile of rows, which stays in
// shared memory, and streams the other side's tiles past it. Each half-warp owns kOwn rows; in a
// matrix [own rows, streamed rows] its lane l holds the columns l, l + 16, ..., and in one [own
// rows, d] the columns 4 l to 4 l + 3, 64 further and so on. So softmax and sums stay within a
// half-warp, and a streamed tile is read from global memory once per block.
#pragma once

#include <limits>

#include "core/backend/backend.hpp"
#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/launch.cuh"

namespace weft {

inline constexpr int kAttentionBlock = 128;
inline constexpr int kHalf = kWarp / 2;
inline constexpr int kHalves = kAttentionBlock / kHalf;
inline constexpr float kMasked = -std::numeric_limits<float>::infinity();

// D is the head size rounded up to 64, 128 or 256.
template <int D>
inline constexpr int kTile = D <= 128 ? 32 : 16;  // rows
template <int D>
inline constexpr int kOwn = kTile<D> / kHalves;
template <int D>
inline constexpr int kStreamed = kTile<D> / kHalf;
template <int D>
inline constexpr int kLaneColumns = D / kHalf;

// Four floats beyond what is needed: rows then begin at different banks.
template <int D>
struct RowTile {
  float row[kTile<D>][D + 4];
};
template <int D>
struct WeightTile {  // [own rows, streamed rows]
  float row[kTile<D>][kTile<D> + 4];
};

// The arguments of a call, as its kernels read them.
struct AttentionParams {
  const std::uint8_t* key_mask_BT;  // or null
  std::int64_t tokens, heads;
  int d;
  float scale;
  bool causal;
  bool packed;                   // rows can be moved four elements at a time
  std::uint32_t drop_threshold;  // 0: nothing is dropped
  float keep_scale;
  PhiloxKey dropout_key;
  const std::int32_t* dropout_step;      // or null
  std::int64_t first_head, total_heads;  // global number of this call's first head, heads a sample

  AttentionParams(const AttentionArgs& args, const Tensor& qkv,
                  std::initializer_list<const Tensor*> moved)
      : key_mask_BT(args.key_mask_BT ? args.key_mask_BT.data<std::uint8_t>() : nullptr),
        tokens(qkv.shape()[1]),
        heads(args.heads),
        d(static_cast<int>(qkv.shape()[2] / (3 * args.heads))),
        scale(args.scale),
        causal(args.causal),
        packed(d % 4 == 0),
        drop_threshold(weft::drop_threshold(args.dropout_p)),
        keep_scale(weft::keep_factor(args.dropout_p)),
        dropout_key(args.dropout_key),
        dropout_step(step_of(args.dropout_step)),
        first_head(args.first_sample * args.total_heads + args.first_head),
        total_heads(args.total_heads) {
    for (const Tensor* t : moved) packed = packed && aligned_for(4 * size_of(t->dtype()), *t);
  }

  template <int D>
  __host__ __device__ std::int64_t tiles() const {
    return (tokens + kTile<D> - 1) / kTile<D>;
  }
};

// One (sample, head) and the first row of one of its tiles: what a block works on.
struct AttentionPlace {
  std::int64_t b, h, first;

  // Of the first part (0 q, 1 k, 2 v) in [B, T, parts heads d], row `token`.
  template <class T>
  __device__ T* row(T* fused, const AttentionParams& p, int parts, int part,
                    std::int64_t token) const {
    return fused + (((b * p.tokens + token) * parts + part) * p.heads + h) * p.d;
  }
  __device__ std::int64_t statistic(const AttentionParams& p, std::int64_t token) const {
    return (b * p.heads + h) * p.tokens + token;  // in [B, h, T]
  }
};

// With last_first the tiles of a head are taken from the end: under a causal mask the last queries
// have the most keys, and long blocks should not begin when the others are done.
template <int D>
__device__ inline AttentionPlace attention_place(const AttentionParams& p, bool last_first) {
  const std::int64_t tiles = p.tiles<D>(), head = blockIdx.x / tiles, tile = blockIdx.x % tiles;
  return {head / p.heads, head % p.heads, (last_first ? tiles - 1 - tile : tile) * kTile<D>};
}

// ---- within a block -----------------------------------------------------------------------------

__device__ inline int half_lane() { return static_cast<int>(threadIdx.x % kHalf); }
// The tile's row that is this half-warp's r-th.
__device__ inline int own_row(int r) { return static_cast<int>(threadIdx.x / kHalf) + kHalves * r; }

__device__ inline float half_sum(float x) {
  for (int distance = kHalf / 2; distance > 0; distance /= 2)
    x += __shfl_xor_sync(kAllLanes, x, distance);
  return x;
}
__device__ inline float half_max(float x) {
  for (int distance = kHalf / 2; distance > 0; distance /= 2)
    x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, distance));
  return x;
}

// The block loads `part` of the tokens from `first` on; zeros beyond the last token and beyond d.
template <int D, class T>
__device__ void load_tile(RowTile<D>& tile, const T* fused, const AttentionParams& p,
                          AttentionPlace place, int parts, int part, std::int64_t first) {
  const auto load = [&]<int N>(std::integral_constant<int, N>) {
    for (int i = static_cast<int>(threadIdx.x); i < kTile<D> * (D / N); i += kAttentionBlock) {
      const int r = i / (D / N), c = i % (D / N) * N;
      float x[N] = {};
      if (first + r < p.tokens && c < p.d)
        load_pack<N>(x, place.row(fused, p, parts, part, first + r) + c);
      store_pack<N>(&tile.row[r][c], x);
    }
  };
  if (p.packed)
    load(std::integral_constant<int, 4>{});
  else
    load(std::integral_constant<int, 1>{});
}

// Each half-warp stores its own row r's columns, if there is such a token.
template <int D, class T>
__device__ void store_own_row(T* fused, const AttentionParams& p, AttentionPlace place, int parts,
                              int part, int r, const float (&x)[kLaneColumns<D>]) {
  const std::int64_t token = place.first + own_row(r);
  if (token >= p.tokens) return;
  T* const to = place.row(fused, p, parts, part, token);
  for (int s = 0; s < kLaneColumns<D> / 4; ++s) {
    const int c = 4 * (kHalf * s + half_lane());
    const float four[4] = {x[4 * s], x[4 * s + 1], x[4 * s + 2], x[4 * s + 3]};
    if (p.packed && c < p.d) {
      store_pack<4>(to + c, four);
    } else {
      for (int k = 0; k < 4; ++k) {
        if (c + k < p.d) to[c + k] = from_float<T>(four[k]);
      }
    }
  }
}

// 0 for a key that may be attended to, else -inf: what is added to its scores.
__device__ inline float key_bias(const AttentionParams& p, AttentionPlace place, std::int64_t key) {
  const bool seen =
      key < p.tokens && (p.key_mask_BT == nullptr || p.key_mask_BT[place.b * p.tokens + key] != 0);
  return seen ? 0 : kMasked;
}

// Bit j of keep[i]: dropout keeps the probability of query first_query + i and key first_key + j.
// A half-warp draws a query's keys, four neighbours at once as Philox makes them.
template <int D>
__device__ void draw_keep(unsigned (&keep)[kTile<D>], const AttentionParams& p,
                          AttentionPlace place, std::int64_t first_query, std::int64_t first_key) {
  if (p.drop_threshold == 0) return;
  const PhiloxKey key = key_in_step(p.dropout_key, p.dropout_step);
  const std::int64_t head = p.first_head + place.b * p.total_heads + place.h;
  for (int r = 0; r < kOwn<D>; ++r) {
    const std::int64_t query = first_query + own_row(r);
    const auto element =
        static_cast<std::uint64_t>((head * p.tokens + query) * p.tokens + first_key);
    unsigned kept = 0;
    if (half_lane() <= kTile<D> / 4) {  // one group more than fit, as the first may begin earlier
      const Philox4 drawn = philox(key, element / 4 + half_lane());
      for (int e = 0; e < 4; ++e) {
        const int j = 4 * half_lane() + e - static_cast<int>(element % 4);
        if (j >= 0 && j < kTile<D> && drawn.v[e] >= p.drop_threshold) kept |= 1U << j;
      }
    }
    for (int distance = kHalf / 2; distance > 0; distance /= 2)
      kept |= __shfl_xor_sync(kAllLanes, kept, distance);
    if (half_lane() == 0) keep[own_row(r)] = kept;
  }
}

// What the probability of the tile's query i and key j is multiplied with.
__device__ inline float keep_factor(const AttentionParams& p, const unsigned* keep, int i, int j) {
  return p.drop_threshold == 0 || (keep[i] >> j) % 2 != 0 ? p.keep_scale : 0;
}

// What a block streams past its queries: keys and values, and which of them its queries may see.
template <int D>
struct KeyTiles {
  RowTile<D> k, v;
  float bias[kTile<D>];     // key_bias
  unsigned keep[kTile<D>];  // draw_keep
};

// The next tiles of keys, those from `first_key` on, when the ones before are no longer read.
template <int D, class T>
__device__ void load_keys(KeyTiles<D>& keys, const T* qkv, const AttentionParams& p,
                          AttentionPlace place, std::int64_t first_key) {
  __syncthreads();
  load_tile<D>(keys.k, qkv, p, place, 3, 1, first_key);
  load_tile<D>(keys.v, qkv, p, place, 3, 2, first_key);
  if (threadIdx.x < kTile<D>) keys.bias[threadIdx.x] = key_bias(p, place, first_key + threadIdx.x);
  draw_keep<D>(keys.keep, p, place, place.first, first_key);
  __syncthreads();
}

// Where the keys end that a tile of queries sees.
template <int D>
__device__ inline std::int64_t keys_seen(const AttentionParams& p, AttentionPlace place) {
  const std::int64_t next = place.first + kTile<D>;
  return p.causal && next < p.tokens ? next : p.tokens;
}

// ---- products of tiles --------------------------------------------------------------------------

// s[r][c] = own row r . streamed row (lane + 16 c)
template <int D>
__device__ void multiply_rows(float (&s)[kOwn<D>][kStreamed<D>], const RowTile<D>& own,
                              const RowTile<D>& streamed, int d) {
  for (int r = 0; r < kOwn<D>; ++r) {
    for (int c = 0; c < kStreamed<D>; ++c) s[r][c] = 0;
  }
  for (int k = 0; k < d; k += 4) {
    float x[kOwn<D>][4], y[kStreamed<D>][4];
    for (int r = 0; r < kOwn<D>; ++r) load_pack<4>(x[r], &own.row[own_row(r)][k]);
    for (int c = 0; c < kStreamed<D>; ++c)
      load_pack<4>(y[c], &streamed.row[half_lane() + kHalf * c][k]);
    for (int r = 0; r < kOwn<D>; ++r) {
      for (int c = 0; c < kStreamed<D>; ++c) {
        for (int e = 0; e < 4; ++e) s[r][c] += x[r][e] * y[c][e];
      }
    }
  }
}

// total[r] += the sum over streamed rows j of weight[own row r][j] streamed row j
template <int D>
__device__ void add_weighted_rows(float (&total)[kOwn<D>][kLaneColumns<D>],
                                  const WeightTile<D>& weight, const RowTile<D>& streamed) {
  for (int j = 0; j < kTile<D>; j += 4) {
    float w[kOwn<D>][4];
    for (int r = 0; r < kOwn<D>; ++r) load_pack<4>(w[r], &weight.row[own_row(r)][j]);
    for (int e = 0; e < 4; ++e) {
      for (int s = 0; s < kLaneColumns<D> / 4; ++s) {
        float x[4];
        load_pack<4>(x, &streamed.row[j + e][4 * (kHalf * s + half_lane())]);
        for (int r = 0; r < kOwn<D>; ++r) {
          for (int k = 0; k < 4; ++k) total[r][4 * s + k] += w[r][e] * x[k];
        }
      }
    }
  }
}

// ---- launches -----------------------------------------------------------------------------------

// Calls f with the head size rounded up, as a constant.
template <class F>
void with_head_size(std::int64_t d, F&& f) {
  if (d <= 64) return f(std::integral_constant<int, 64>{});
  if (d <= 128) return f(std::integral_constant<int, 128>{});
  if (d <= 256) return f(std::integral_constant<int, 256>{});
  throw Error("attention: no CUDA kernel for heads of " + std::to_string(d) + " features",
              "heads of up to 256 features can be computed with: use more heads");
}

// Lets a kernel have more dynamic shared memory than the 48 KiB that every kernel may.
template <class... P>
void allow_shared_memory(void (*kernel)(P...), std::size_t bytes) {
  if (bytes <= 48 * 1024) return;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)),
             "asking for shared memory");
}

}  // namespace weft
