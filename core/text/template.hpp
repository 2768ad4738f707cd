// How special tokens go around one text or two, and how a pair is cut to a length.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/text/tokenizer.hpp"

namespace weft {

struct TemplatePiece {
  enum Kind : std::uint8_t { kFirst, kSecond, kSpecial };
  Kind kind = kSpecial;
  std::int32_t id = -1;  // of a special token
  std::int32_t type = 0;
};

struct Template {
  std::vector<TemplatePiece> single, pair;

  // [CLS] A [SEP], [CLS] A [SEP] B [SEP] with type 1 from B on.
  static Template bert(std::int32_t cls, std::int32_t sep);
  // The texts alone.
  static Template bare();

  static std::int64_t count_special(const std::vector<TemplatePiece>& pieces);
};

// What each text keeps of `first` and `second` tokens when `limit` remain: the longer one is cut
// until both are equal, then both; of an odd limit the longer text (the second if they were equal)
// keeps one more.
std::pair<std::int64_t, std::int64_t> longest_first(std::int64_t first, std::int64_t second,
                                                    std::int64_t limit);

void truncate(Encoding& encoding, std::int64_t limit);

// Joins the texts' encodings; `b` is null for a single text.
Encoding apply(const std::vector<TemplatePiece>& pieces, const Encoding& a, const Encoding* b);

}  // namespace weft
