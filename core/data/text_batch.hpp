// Batches of given texts, for running a model on them.
#pragma once

#include <span>
#include <vector>

#include "core/data/batch.hpp"
#include "core/text/tokenizer.hpp"

namespace weft {

// One row of a batch. `mask` holds 1 for what may be attended to.
struct TextRow {
  std::vector<std::int32_t> ids, type_ids;
  std::vector<std::uint8_t> mask;
};
TextRow text_row(const Encoding& encoding);

// Rows padded at their end with `pad_id` to `length` tokens, which no row may exceed; padding is
// masked.
Batch text_batch(std::span<const TextRow> rows, std::int64_t length, std::int32_t pad_id);

}  // namespace weft
