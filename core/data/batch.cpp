// Samples to tensors.
#include "core/data/batch.hpp"

#include <algorithm>
#include <cassert>
#include <vector>

#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {

Tensor to_tensor(const std::vector<std::int32_t>& values) {
  Tensor t(Shape{static_cast<std::int64_t>(values.size())}, DType::i32);
  std::copy(values.begin(), values.end(), t.data<std::int32_t>());
  return t;
}

}  // namespace

Batch make_batch(std::span<const Sample> samples, std::int64_t seq_length, std::int32_t pad_id,
                 std::int64_t first_sample, std::int64_t masked_places) {
  const auto B = static_cast<std::int64_t>(samples.size());
  const std::int64_t T = seq_length;
  Batch batch;
  batch.first_sample = first_sample;
  batch.ids_BT = Tensor(Shape{B, T}, DType::i32);
  batch.type_ids_BT = Tensor(Shape{B, T}, DType::i32);
  Tensor mask_BT(Shape{B, T}, DType::u8);
  std::fill_n(batch.ids_BT.data<std::int32_t>(), B * T, pad_id);
  std::fill_n(batch.type_ids_BT.data<std::int32_t>(), B * T, 0);
  std::fill_n(mask_BT.data<std::uint8_t>(), B * T, std::uint8_t{0});

  std::vector<std::int32_t> places, targets, labels;
  bool padded = false;
  for (std::int64_t b = 0; b < B; ++b) {
    const Sample& s = samples[static_cast<std::size_t>(b)];
    const auto length = static_cast<std::int64_t>(s.ids.size());
    assert(length <= T);
    padded = padded || length < T;
    std::copy(s.ids.begin(), s.ids.end(), batch.ids_BT.data<std::int32_t>() + b * T);
    std::copy(s.type_ids.begin(), s.type_ids.end(), batch.type_ids_BT.data<std::int32_t>() + b * T);
    std::fill_n(mask_BT.data<std::uint8_t>() + b * T, length, std::uint8_t{1});
    for (const std::int32_t place : s.places) {
      places.push_back(static_cast<std::int32_t>(b * T) + place);
    }
    targets.insert(targets.end(), s.targets.begin(), s.targets.end());
    if (s.sentence_label >= 0) labels.push_back(s.sentence_label);
  }
  const bool fixed_shapes = masked_places > 0;
  if (fixed_shapes) {
    if (static_cast<std::int64_t>(places.size()) > masked_places) {
      throw Error(std::to_string(places.size()) + " masked tokens in a batch that has room for " +
                  std::to_string(masked_places));
    }
    places.resize(static_cast<std::size_t>(masked_places), -1);
    targets.resize(static_cast<std::size_t>(masked_places), -1);
  }
  if (padded || fixed_shapes) batch.key_mask_BT = mask_BT;
  batch.padding_is_last = true;
  batch.masked_places_N = to_tensor(places);
  batch.masked_targets_N = to_tensor(targets);
  if (!labels.empty()) batch.sentence_labels_B = to_tensor(labels);
  return batch;
}

Batch to_device(const Batch& batch, Device device) {
  return {.first_sample = batch.first_sample,
          .ids_BT = to_device(batch.ids_BT, device),
          .type_ids_BT = to_device(batch.type_ids_BT, device),
          .key_mask_BT = to_device(batch.key_mask_BT, device),
          .padding_is_last = batch.padding_is_last,
          .masked_places_N = to_device(batch.masked_places_N, device),
          .masked_targets_N = to_device(batch.masked_targets_N, device),
          .sentence_labels_B = to_device(batch.sentence_labels_B, device)};
}

}  // namespace weft
