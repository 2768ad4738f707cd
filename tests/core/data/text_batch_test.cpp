// Batches of given texts.
#include "core/data/text_batch.hpp"

#include <gtest/gtest.h>

#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

TextRow row(const std::vector<std::uint8_t>& mask) {
  return {.ids = std::vector<std::int32_t>(mask.size(), 5),
          .type_ids = std::vector<std::int32_t>(mask.size(), 0),
          .mask = mask};
}

TEST(TextBatch, PadsAtTheEnd) {
  const std::vector<TextRow> rows = {row({1, 1, 1}), row({1})};
  const Batch batch = text_batch(rows, 3, 9);
  EXPECT_EQ(to_vector(batch.ids_BT), (std::vector<float>{5, 5, 5, 5, 9, 9}));
  EXPECT_EQ(to_vector(batch.key_mask_BT), (std::vector<float>{1, 1, 1, 1, 0, 0}));
  EXPECT_TRUE(batch.padding_is_last);
}

TEST(TextBatch, TellsPaddingFromHiddenTokens) {
  const std::vector<TextRow> padded = {row({1, 1, 0}), row({1, 0})};
  EXPECT_TRUE(text_batch(padded, 4, 9).padding_is_last);
  for (const auto& mask : {std::vector<std::uint8_t>{1, 0, 1}, std::vector<std::uint8_t>{0, 1}}) {
    const std::vector<TextRow> hidden = {row({1, 1, 0}), row(mask), row({1})};
    EXPECT_FALSE(text_batch(hidden, 4, 9).padding_is_last);
  }
}

TEST(TextBatch, NeedsNoMaskWithoutPadding) {
  const std::vector<TextRow> rows = {row({1, 1}), row({1, 1})};
  EXPECT_FALSE(text_batch(rows, 2, 9).key_mask_BT);
}

}  // namespace
}  // namespace weft
