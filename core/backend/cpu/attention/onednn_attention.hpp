// Attention with products by oneDNN: for CPUs where its products are the fastest.
#pragma once

#include "core/backend/backend.hpp"
#include "core/backend/cpu/onednn.hpp"

namespace weft {

void onednn_attention_forward(ProductCache& products, Tensor& out, Tensor& lse_BhT,
                              const Tensor& qkv, const AttentionArgs& args);
void onednn_attention_backward(ProductCache& products, Tensor& dqkv, const Tensor& dout,
                               const Tensor& qkv, const Tensor& out, const Tensor& lse_BhT,
                               const AttentionArgs& args);

}  // namespace weft
