// What surrounds cuDNN's attention when keys are padded or dropped out.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

#include "core/tensor/tensor.hpp"

namespace weft {

// Device memory that cuDNN's attention reads besides the tensors.
struct SdpaInputs {
  std::uint64_t* seed;          // [1]
  std::uint64_t* offset;        // [1]
  std::int32_t* query_lengths;  // [B]
  std::int32_t* key_lengths;    // [B]
};

// offset = 0, query_lengths = T, key_lengths = the ones in each row of mask_BT, at least 1: cuDNN
// does not say what a row without keys gives. mask_BT may be empty; then there are no lengths.
void write_sdpa_inputs(const SdpaInputs& inputs, std::uint64_t seed, const Tensor& mask_BT,
                       cudaStream_t stream);

// Samples without keys: out = 0, lse = -inf. width = h d.
void clear_empty_samples(Tensor& out, Tensor& lse_BhT, const Tensor& mask_BT, cudaStream_t stream);

// Gradients of hidden keys and values are 0, and of queries too in samples without keys: cuDNN
// leaves the former undefined.
void clear_padding_gradients(Tensor& dqkv, const Tensor& mask_BT, cudaStream_t stream);

}  // namespace weft
