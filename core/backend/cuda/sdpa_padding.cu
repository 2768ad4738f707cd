// What surrounds cuDNN's attention when keys are padded or dropped out: lengths out of the mask,
// and zeros where cuDNN leaves results undefined. All of them touch the mask and the padding alone.
#include <limits>

#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/launch.cuh"
#include "core/backend/cuda/sdpa_padding.hpp"

namespace weft {

namespace {

constexpr int kBlock = 256;
constexpr int kWarps = kBlock / kWarp;

// One block per sample.
__global__ void sdpa_inputs_kernel(SdpaInputs inputs, SdpaSeed seed, const std::uint8_t* mask,
                                   std::int64_t T) {
  __shared__ int scratch[kWarps];
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    *inputs.seed = seed.value();
    *inputs.offset = 0;
  }
  if (mask == nullptr) return;
  int keys = 0;
  for (std::int64_t j = threadIdx.x; j < T; j += blockDim.x)
    keys += mask[blockIdx.x * T + j] != 0 ? 1 : 0;
  keys = block_sum(keys, scratch);
  if (threadIdx.x == 0) {
    inputs.query_lengths[blockIdx.x] = static_cast<std::int32_t>(T);
    inputs.key_lengths[blockIdx.x] = keys > 0 ? keys : 1;
  }
}

__device__ inline void clear(uint4* row, std::int64_t first, std::int64_t last) {
  for (std::int64_t i = first + threadIdx.x % kWarp; i < last; i += kWarp)
    row[i] = make_uint4(0, 0, 0, 0);
}

// One warp per token. `packs` of 16 bytes make an output row.
__global__ void clear_empty_samples_kernel(uint4* out, float* lse_BhT, const std::uint8_t* mask,
                                           std::int64_t B, std::int64_t T, std::int64_t heads,
                                           std::int64_t packs) {
  const std::int64_t token = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (token >= B * T) return;
  const std::int64_t b = token / T, t = token % T;
  if (mask[b * T] != 0) return;
  clear(out + token * packs, 0, packs);
  for (std::int64_t h = threadIdx.x % kWarp; h < heads; h += kWarp)
    lse_BhT[(b * heads + h) * T + t] = -std::numeric_limits<float>::infinity();
}

// One warp per token. `packs` of 16 bytes make its query; as many its key, and its value.
__global__ void clear_padding_gradients_kernel(uint4* dqkv, const std::uint8_t* mask,
                                               std::int64_t B, std::int64_t T, std::int64_t packs) {
  const std::int64_t token = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (token >= B * T || mask[token] != 0) return;
  const bool empty = mask[token / T * T] == 0;
  clear(dqkv + token * 3 * packs, empty ? 0 : packs, 3 * packs);
}

std::int64_t packs_of(std::int64_t elements, const Tensor& x) {
  return elements * static_cast<std::int64_t>(size_of(x.dtype())) / std::int64_t{sizeof(uint4)};
}

}  // namespace

void write_sdpa_inputs(const SdpaInputs& inputs, const SdpaSeed& seed, const Tensor& mask_BT,
                       cudaStream_t stream) {
  const bool padded = static_cast<bool>(mask_BT);
  const auto blocks = static_cast<unsigned>(padded ? mask_BT.shape()[0] : 1);
  WEFT_LAUNCH(sdpa_inputs_kernel, blocks, kBlock, 0, stream, inputs, seed,
              padded ? mask_BT.data<std::uint8_t>() : nullptr, padded ? mask_BT.shape()[1] : 0);
}

void clear_empty_samples(Tensor& out, Tensor& lse_BhT, const Tensor& mask_BT, cudaStream_t stream) {
  const std::int64_t B = mask_BT.shape()[0], T = mask_BT.shape()[1];
  const auto blocks = static_cast<unsigned>((B * T + kWarps - 1) / kWarps);
  WEFT_LAUNCH(clear_empty_samples_kernel, blocks, kBlock, 0, stream, static_cast<uint4*>(out.raw()),
              lse_BhT.data<float>(), mask_BT.data<std::uint8_t>(), B, T, lse_BhT.shape()[1],
              packs_of(out.shape().last(), out));
}

void clear_padding_gradients(Tensor& dqkv, const Tensor& mask_BT, cudaStream_t stream) {
  const std::int64_t B = mask_BT.shape()[0], T = mask_BT.shape()[1];
  const auto blocks = static_cast<unsigned>((B * T + kWarps - 1) / kWarps);
  WEFT_LAUNCH(clear_padding_gradients_kernel, blocks, kBlock, 0, stream,
              static_cast<uint4*>(dqkv.raw()), mask_BT.data<std::uint8_t>(), B, T,
              packs_of(dqkv.shape().last() / 3, dqkv));
}

}  // namespace weft
