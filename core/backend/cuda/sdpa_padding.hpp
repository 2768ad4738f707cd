// What surrounds cuDNN's attention when keys are padded or dropped out.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

#include "core/backend/backend.hpp"

namespace weft {

// Device memory that cuDNN's attention reads besides the tensors.
struct SdpaInputs {
  std::uint64_t* seed;          // [1]
  std::uint64_t* offset;        // [1]
  std::int32_t* query_lengths;  // [B]
  std::int32_t* key_lengths;    // [B]
};

// The seed of cuDNN's dropout mask: another for every key, first sample and first head. cuDNN
// counts a mask's elements from the call's own first, so that these must enter the seed for ranks
// to differ; the same arguments give forward, backward and recomputation the same mask.
struct SdpaSeed {
  PhiloxKey key;
  const std::int32_t* step;  // as Dropout::step, or null
  std::uint64_t first;       // number of this call's first head in the global batch

  explicit SdpaSeed(const AttentionArgs& args)
      : key(args.dropout_key),
        step(step_of(args.dropout_step)),
        first(static_cast<std::uint64_t>(args.first_sample * args.total_heads + args.first_head)) {}

  WEFT_HOST_DEVICE std::uint64_t value() const {
    // From the far end of the key's stream, where no element of a tensor comes.
    const Philox4 random = philox(in_step(key, step), ~first);
    return std::uint64_t{random.v[1]} << 32 | random.v[0];
  }
};

// offset = 0, query_lengths = T, key_lengths = the ones in each row of mask_BT, at least 1: cuDNN
// does not say what a row without keys gives. mask_BT may be empty; then there are no lengths.
void write_sdpa_inputs(const SdpaInputs& inputs, const SdpaSeed& seed, const Tensor& mask_BT,
                       cudaStream_t stream);

// Samples without keys: out = 0, lse = -inf. width = h d.
void clear_empty_samples(Tensor& out, Tensor& lse_BhT, const Tensor& mask_BT, cudaStream_t stream);

// Gradients of hidden keys and values are 0, and of queries too in samples without keys: cuDNN
// leaves the former undefined.
void clear_padding_gradients(Tensor& dqkv, const Tensor& mask_BT, cudaStream_t stream);

}  // namespace weft
