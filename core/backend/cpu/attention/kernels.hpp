// Weft's own attention kernels, one set for each kind of CPU: blocks of queries meet blocks of keys
// in the caches, and keys that no query of a block sees are left out.
#pragma once

#include "core/backend/cpu/attention/head.hpp"

namespace weft {

// Tokens of a block: its scores are 64 KiB of fp32, and with the block's operands they stay in the
// second-level cache.
inline constexpr std::int64_t kQueryBlock = 64;
inline constexpr std::int64_t kKeyBlock = 256;

struct AttentionForwardCall {
  Tensor& out;
  Tensor& lse_BhT;
  const Tensor& qkv;
  const AttentionArgs& args;
  AttentionSizes sizes;
};

struct AttentionBackwardCall {
  Tensor& dqkv;
  const Tensor &dout, &qkv, &out, &lse_BhT;
  const AttentionArgs& args;
  AttentionSizes sizes;
};

// Tokens first ... last - 1, where first is a multiple of the block.
struct TokenRange {
  std::int64_t first, last;
};

// What of one head's backward is computed: sums over these queries and these keys.
struct BackwardPart {
  TokenRange queries, keys;
  bool dq, dkv;  // which gradients
};

struct AttentionKernels {
  using Forward = void(const AttentionForwardCall&, std::int64_t b, std::int64_t h, TokenRange,
                       std::byte* scratch);
  using Backward = void(const AttentionBackwardCall&, std::int64_t b, std::int64_t h,
                        const BackwardPart&, std::byte* scratch);
  Forward* forward;
  Backward* backward;
  std::size_t (*forward_scratch)(const AttentionSizes&);
  std::size_t (*backward_scratch)(const AttentionSizes&);
};

AttentionKernels baseline_attention_kernels();
// Only where the CPU has these instructions.
AttentionKernels avx512_attention_kernels();
AttentionKernels avx512_bf16_attention_kernels();  // bf16 tensors alone

}  // namespace weft
