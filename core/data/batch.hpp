// What a model sees of one micro-batch on one rank.
#pragma once

#include <cstdint>
#include <span>

#include "core/data/sample.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

struct Batch {
  std::int64_t first_sample = 0;  // position within the global batch of the step

  Tensor ids_BT;                 // i32
  Tensor type_ids_BT;            // i32
  Tensor key_mask_BT;            // u8, 1 = a token; empty when nothing is padded
  bool padding_is_last = false;  // each row of key_mask_BT is 1 ... 1 0 ... 0

  // MLM: N places of the batch, as b * T + t in rising order, and the ids that stood there; -1 in
  // both where N is filled up. N may be 0.
  Tensor masked_places_N;    // i32
  Tensor masked_targets_N;   // i32
  Tensor sentence_labels_B;  // i32: NSP 0 = B follows A, 1 = random; SOP 0 = in order, 1 = swapped;
                             // or empty

  std::int64_t size() const { return ids_BT.shape()[0]; }
  std::int64_t length() const { return ids_BT.shape()[1]; }
};

// Samples to tensors on the CPU, every row padded to `seq_length`. `first_sample` as in Batch. With
// masked_places > 0 the shapes do not depend on what is in the samples: N is filled up to it, and
// the mask is always there; throws Error when more are masked.
Batch make_batch(std::span<const Sample> samples, std::int64_t seq_length, std::int32_t pad_id,
                 std::int64_t first_sample, std::int64_t masked_places = 0);

// The batch with its tensors on a device: those that are there already are shared.
Batch to_device(const Batch& batch, Device device);

}  // namespace weft
