// Batches of given texts.
#include "core/data/text_batch.hpp"

#include <algorithm>
#include <cassert>
#include <functional>

namespace weft {

TextRow text_row(const Encoding& encoding) {
  return {.ids = encoding.ids,
          .type_ids = encoding.type_ids,
          .mask = std::vector<std::uint8_t>(encoding.ids.size(), 1)};
}

Batch text_batch(std::span<const TextRow> rows, std::int64_t length, std::int32_t pad_id) {
  const Shape shape{static_cast<std::int64_t>(rows.size()), length};
  Batch batch{.ids_BT = Tensor(shape, DType::i32), .type_ids_BT = Tensor(shape, DType::i32)};
  Tensor mask(shape, DType::u8);
  std::fill_n(batch.ids_BT.data<std::int32_t>(), shape.numel(), pad_id);
  std::fill_n(batch.type_ids_BT.data<std::int32_t>(), shape.numel(), 0);
  std::fill_n(mask.data<std::uint8_t>(), shape.numel(), std::uint8_t{0});
  bool padded = false;
  batch.padding_is_last = true;
  for (std::size_t b = 0; b < rows.size(); ++b) {
    const TextRow& row = rows[b];
    assert(static_cast<std::int64_t>(row.ids.size()) <= length);
    const auto offset = static_cast<std::int64_t>(b) * length;
    std::copy(row.ids.begin(), row.ids.end(), batch.ids_BT.data<std::int32_t>() + offset);
    std::copy(row.type_ids.begin(), row.type_ids.end(),
              batch.type_ids_BT.data<std::int32_t>() + offset);
    std::copy(row.mask.begin(), row.mask.end(), mask.data<std::uint8_t>() + offset);
    padded = padded || static_cast<std::int64_t>(row.ids.size()) < length ||
             std::count(row.mask.begin(), row.mask.end(), std::uint8_t{0}) > 0;
    batch.padding_is_last =
        batch.padding_is_last && std::is_sorted(row.mask.begin(), row.mask.end(), std::greater<>());
  }
  if (padded) batch.key_mask_BT = mask;
  return batch;
}

}  // namespace weft
