// Multi-head attention on a fused projection.
#pragma once

#include "core/autograd/var.hpp"
#include "core/ops/pass.hpp"

namespace weft {

// Which heads of how many this rank computes: with tensor parallelism the first is not 0.
struct Heads {
  std::int64_t count = 1;
  std::int64_t first = 0;
  std::int64_t total = 1;
};

struct AttentionMask {
  Tensor keys_BT;  // u8, 1 = may be attended to; empty = all
  bool causal = false;
  bool keys_are_prefix = false;  // each row of keys_BT is 1 ... 1 0 ... 0, which GPUs do faster
};

// softmax(q k^T / sqrt(d)) v per head; qkv [B, T, 3 h d] -> [B, T, h d]. Dropout p on the
// probabilities.
Var attention(const Var& qkv, const AttentionMask& mask, const Heads& heads, float p, Pass& pass);

}  // namespace weft
