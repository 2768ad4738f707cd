// Attention by Weft's own kernels: any floating dtype, head size and mask, and the CPU's dropout.
#pragma once

#include <cuda_runtime.h>

#include "core/backend/backend.hpp"

namespace weft {

// As Backend::attention_forward and Backend::attention_backward; qkv is not empty.
void tiled_attention_forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv,
                             const AttentionArgs& args, cudaStream_t stream);
void tiled_attention_backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv,
                              const Tensor& out, const Tensor& lse_BhT, const AttentionArgs& args,
                              cudaStream_t stream);

}  // namespace weft
