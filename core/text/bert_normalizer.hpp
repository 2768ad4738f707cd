// BERT's text normalisation, step by step as Hugging Face's BertNormalizer does it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/unicode.hpp"

namespace weft {

struct BertNormalizerOptions {
  bool clean_text = true;             // drop control characters, every space becomes U+0020
  bool handle_chinese_chars = true;   // each ideograph is a word
  std::optional<bool> strip_accents;  // not given: as lowercase
  bool lowercase = true;

  bool strips_accents() const { return strip_accents.value_or(lowercase); }
};

// The characters of valid UTF-8, each with its own place; the first one is number `first`.
std::vector<NormalChar> to_chars(std::string_view text, std::int32_t first = 0);

void normalize(const CharTable& table, const BertNormalizerOptions& options,
               std::vector<NormalChar>& chars);

// The steps that look at more than one character: accents, then lower case.
void fold(const CharTable& table, const BertNormalizerOptions& options,
          std::vector<NormalChar>& chars);

std::string to_utf8(const std::vector<NormalChar>& chars);

}  // namespace weft
