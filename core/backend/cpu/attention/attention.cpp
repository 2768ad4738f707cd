// Attention on CPUs: chooses the kernels and shares heads, or parts of them, out among threads.
#include "core/backend/cpu/attention/choice.hpp"
#include "core/backend/cpu/attention/kernels.hpp"
#include "core/backend/cpu/attention/onednn_attention.hpp"
#include "core/backend/cpu/attention/tasks.hpp"
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/onednn_state.hpp"

namespace weft {

namespace {

AttentionKernels kernels_of(AttentionPath path) {
  switch (path) {
    case AttentionPath::avx512:
      return avx512_attention_kernels();
    case AttentionPath::avx512_bf16:
      return avx512_bf16_attention_kernels();
    default:
      return baseline_attention_kernels();
  }
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Whether threads would idle for more than so large a share of the time that the busiest one works,
// if each head were one task.
bool too_few_heads(const AttentionSizes& z, double share) {
  const std::int64_t heads = z.B * z.heads, threads = omp_get_max_threads();
  const std::int64_t turns = ceil_div(heads, threads);
  return static_cast<double>(turns * threads - heads) >
         share * static_cast<double>(turns * threads);
}

// Into how many parts of whole blocks to cut each head's forward. Every part packs all keys, so
// heads are cut only where threads would idle. The bits do not depend on it: a block is computed in
// the same way in every part.
std::int64_t parts_per_head(const AttentionSizes& z, std::int64_t block) {
  constexpr std::int64_t kTasksPerThread = 2;
  if (!too_few_heads(z, 0.2)) return 1;
  const std::int64_t wanted = ceil_div(kTasksPerThread * omp_get_max_threads(), z.B * z.heads);
  return std::clamp<std::int64_t>(wanted, 1, ceil_div(z.T, block));
}

// Part p of T tokens in blocks. Later parts come first: under a causal mask they are longer.
TokenRange part_of(std::int64_t T, std::int64_t block, std::int64_t parts, std::int64_t p) {
  const std::int64_t blocks = ceil_div(T, block), place = parts - 1 - p;
  return {blocks * place / parts * block, std::min(T, blocks * (place + 1) / parts * block)};
}

// A head's backward in one go makes five products of each block. Cut into parts, dq is summed by
// queries and dk, dv by keys; S and dP are then computed in both, seven products.
bool cutting_pays(const AttentionSizes& z) {
  return z.T > kKeyBlock && too_few_heads(z, 1 - 5.0 / 7);
}

}  // namespace

void CpuBackend::attention_forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv,
                                   const AttentionArgs& args) {
  if (qkv.numel() == 0) return;
  const AttentionPath path = attention_path(qkv.dtype());
  if (path == AttentionPath::onednn)
    return onednn_attention_forward(onednn_->products, out, lse_BhT, qkv, args);
  const AttentionKernels kernels = kernels_of(path);
  const AttentionForwardCall call{out, lse_BhT, qkv, args, AttentionSizes(qkv, args)};
  const std::int64_t T = call.sizes.T, parts = parts_per_head(call.sizes, kQueryBlock);
  for_each_part(call.sizes, parts, kernels.forward_scratch(call.sizes),
                [&](std::int64_t b, std::int64_t h, std::int64_t p, std::byte* scratch) {
                  kernels.forward(call, b, h, part_of(T, kQueryBlock, parts, p), scratch);
                });
}

void CpuBackend::attention_backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv,
                                    const Tensor& out, const Tensor& lse_BhT,
                                    const AttentionArgs& args) {
  if (qkv.numel() == 0) return;
  const AttentionPath path = attention_path(qkv.dtype());
  if (path == AttentionPath::onednn)
    return onednn_attention_backward(onednn_->products, dqkv, dout, qkv, out, lse_BhT, args);
  const AttentionKernels kernels = kernels_of(path);
  const AttentionBackwardCall call{dqkv, dout, qkv, out, lse_BhT, args, AttentionSizes(qkv, args)};
  const AttentionSizes& z = call.sizes;
  const TokenRange all{0, z.T};
  const bool cut = cutting_pays(z);
  const std::int64_t key_parts = cut ? ceil_div(z.T, kKeyBlock) : 1;
  const std::int64_t query_parts = cut ? ceil_div(z.T, kKeyBlock) : 0;
  for_each_part(z, key_parts + query_parts, kernels.backward_scratch(z),
                [&](std::int64_t b, std::int64_t h, std::int64_t p, std::byte* scratch) {
                  BackwardPart part{.queries = all, .keys = all, .dq = !cut, .dkv = true};
                  if (cut && p < key_parts) {
                    part.keys = part_of(z.T, kKeyBlock, key_parts, p);
                  } else if (cut) {
                    part = {.queries = part_of(z.T, kKeyBlock, query_parts, p - key_parts),
                            .keys = all,
                            .dq = true,
                            .dkv = false};
                  }
                  kernels.backward(call, b, h, part, scratch);
                });
}

}  // namespace weft
