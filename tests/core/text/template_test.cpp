// Longest-first truncation and special tokens around texts.
#include "core/text/template.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "tests/core/text/fixtures.hpp"

namespace weft {
namespace {

// One token at a time off the longer text, as the definition says; of equal texts the first loses.
std::pair<std::int64_t, std::int64_t> one_by_one(std::int64_t a, std::int64_t b, std::int64_t n) {
  const bool first_longer = a > b;
  while (a + b > n) {
    if (a == b) {
      --(first_longer ? b : a);
    } else {
      --(a > b ? a : b);
    }
  }
  return {a, b};
}

TEST(Template, LongestFirstEqualsOneByOne) {
  for (std::int64_t a = 0; a < 12; ++a) {
    for (std::int64_t b = 0; b < 12; ++b) {
      for (std::int64_t n = 0; n < 26; ++n) {
        EXPECT_EQ(longest_first(a, b, n), one_by_one(a, b, n)) << a << " " << b << " " << n;
      }
    }
  }
}

TEST(Template, BertPutsClsAndSepAround) {
  const Template bert = Template::bert(7, 8);
  const Encoding a{{1, 2}, {0, 0}, {{0, 1}, {2, 3}}}, b{{3}, {0}, {{0, 4}}};
  const Encoding pair = apply(bert.pair, a, &b);
  EXPECT_EQ(pair.ids, (std::vector<std::int32_t>{7, 1, 2, 8, 3, 8}));
  EXPECT_EQ(pair.type_ids, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(pair.offsets[4], std::pair(0, 4));
  EXPECT_EQ(pair.offsets[5], std::pair(0, 0));
  EXPECT_EQ(apply(bert.single, a, nullptr).ids, (std::vector<std::int32_t>{7, 1, 2, 8}));
  EXPECT_EQ(apply(Template::bare().pair, a, &b).type_ids, (std::vector<std::int32_t>{0, 0, 1}));
}

TEST(Template, LengthsCountSpecialTokens) {
  const auto tokenizer = load_bert("uncased");
  EXPECT_EQ(tokenizer->encode("the of and", {.max_length = 4}).ids,
            (std::vector<std::int32_t>{101, 1996, 1997, 102}));
  EXPECT_EQ(tokenizer->encode("the", {.max_length = 2}).ids, (std::vector<std::int32_t>{101, 102}));
  EXPECT_EQ(tokenizer->encode("the of", {.special_tokens = false, .max_length = 1}).ids,
            (std::vector<std::int32_t>{1996}));
  EXPECT_THROW(tokenizer->encode("the", {.max_length = 1}), InputError);
  EXPECT_THROW(tokenizer->encode_pair("the", "of", {.max_length = 2}), InputError);
}

}  // namespace
}  // namespace weft
