// What a forward pass needs besides its inputs: explicit and copyable, no global mode.
#pragma once

#include <cstdint>

#include "core/backend/backend.hpp"

namespace weft {

struct Pass {
  bool training = false;
  bool recompute = false;  // blocks run again in backward instead of keeping their activations
  std::uint64_t seed = 0;
  std::uint32_t step = 0;         // optimizer step: part of every dropout's key
  std::int64_t first_sample = 0;  // position of this micro-batch's first sample in the global batch
  // i32 [1], on the device, or empty: stands for `step` when the kernels run, so that a captured
  // pass is right in other steps too.
  Tensor step_on_device = {};
  std::uint32_t next_place = 0;  // numbers the dropouts of a pass in program order

  // The stream of the next dropout of this pass; the same on every rank and in a recomputation.
  PhiloxKey next_key() { return {.seed = seed, .step = step, .place = next_place++}; }

  // Dropout for a tensor whose dim 0 is the batch, each sample of `elements_per_sample` elements.
  Dropout next_dropout(float p, std::int64_t elements_per_sample) {
    const PhiloxKey key = next_key();
    if (!training) return {};
    return {.p = p,
            .key = key,
            .first_element = static_cast<std::uint64_t>(first_sample * elements_per_sample),
            .step = step_on_device};
  }
};

}  // namespace weft
