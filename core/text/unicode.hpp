// Unicode properties as Hugging Face's BERT tokenizer sees them, over utf8proc.
#pragma once

#include <cstdint>
#include <vector>

namespace weft {

enum CharFlag : std::uint8_t {
  kSpace = 1,       // White_Space
  kPunct = 2,       // ASCII punctuation, or category P*
  kControl = 4,     // dropped by clean_text: U+0000, U+FFFD, Cc but \t \n \r, Cf, Co
  kNonspacing = 8,  // category Mn: an accent
  kIdeograph = 16,  // a CJK character that gets spaces around
  kDecomposes = 32,
  kReorders = 64,  // combining class is not 0
};

// One byte of flags per code point, 1.1 MiB.
class CharTable {
 public:
  std::uint8_t flags(char32_t c) const { return flags_[c]; }

 private:
  CharTable();
  friend const CharTable& char_table();

  std::vector<std::uint8_t> flags_;
};

// The table, made in a few milliseconds when it is first asked for.
const CharTable& char_table();

// A character of normalised text, and the half-open range of code points of the original text that
// it came from.
struct NormalChar {
  char32_t code;
  std::int32_t begin, end;
};

// Canonical decomposition (NFD), in place.
void decompose(const CharTable& table, std::vector<NormalChar>& chars);

// Lower case, character by character: U+0130 becomes two.
void lower_case(std::vector<NormalChar>& chars);

}  // namespace weft
