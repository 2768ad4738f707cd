// Attention, forward and backward, as graphs of tensor operations.
#pragma once

#include <compare>
#include <cstdint>

#include "core/backend/cuda/tensor_graph.hpp"
#include "core/tensor/dtype.hpp"

namespace weft {

// All that a graph of attention depends on. Token i's query, key, value and output stand `*_stride`
// elements after those of token i - 1, its heads side by side; samples follow each other.
struct AttentionSignature {
  DType dtype = DType::bf16;  // bf16 or f16
  std::int64_t B = 0;
  std::int64_t heads = 1, kv_heads = 1;  // kv_heads divides heads: each serves that many queries
  std::int64_t T = 0, kv_T = 0;          // queries and keys
  std::int64_t d = 0;
  std::int64_t q_stride = 0, kv_stride = 0, out_stride = 0;
  bool causal = false;
  bool padded = false;         // sample b has query_lengths[b] queries and key_lengths[b] keys
  bool deterministic = false;  // the backward: the same bits every time
  float dropout_p = 0;
  float scale = 1;

  auto operator<=>(const AttentionSignature&) const = default;
};

// Ids of the memory that an execution is given.
enum AttentionSlot : std::int64_t {
  kQuery = 1,
  kKey,
  kValue,
  kOut,
  kLse,           // f32 [B, h, T]
  kSeed,          // i64 [1], with dropout
  kOffset,        // i64 [1], with dropout
  kQueryLengths,  // i32 [B], when padded
  kKeyLengths,    // i32 [B], when padded
  kDout,
  kDquery,
  kDkey,
  kDvalue,
  kRowSums,     // backward, working memory: f32 [B, h, T]
  kDquerySums,  // backward, working memory unless deterministic: f32 [B, h, T, d]
};

void attention_forward_graph(graph::Graph& g, const AttentionSignature& z);
void attention_backward_graph(graph::Graph& g, const AttentionSignature& z);

}  // namespace weft
