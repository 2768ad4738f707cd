// What sampling has to know about a tokenizer's vocabulary, as plain tables.
#pragma once

#include <cstdint>
#include <vector>

#include "core/text/tokenizer.hpp"

namespace weft {

struct Vocabulary {
  std::int32_t size = 0;
  SpecialTokens special;
  std::vector<std::uint8_t> is_special;   // by id
  std::vector<std::uint8_t> starts_word;  // by id
  std::vector<std::int32_t> ordinary;     // the ids that are not special, rising
};

// Throws InputError when the tokenizer lacks [PAD], [CLS], [SEP] or [MASK], or has no other token.
Vocabulary vocabulary_of(const Tokenizer& tokenizer);

}  // namespace weft
