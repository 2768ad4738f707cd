// Where the Unicode tables in Hugging Face's tokenizers library (0.23) differ from utf8proc's.
//
// That library takes categories from Unicode 8, canonical decompositions and combining classes from
// Unicode 9, and lower case from a Unicode newer than utf8proc's. Ids are to be equal, so the code
// points concerned are listed, in one place, by a script that asks both libraries.
#pragma once

#include <cstdint>
#include <span>

namespace weft {

enum UnicodeDifferenceFlag : std::uint8_t {
  kNotControl = 1,   // Cf or Co here, nothing there
  kMark = 2,         // not Mn here, Mn there
  kNotMark = 4,      // Mn here, nothing there
  kPunctuation = 8,  // not P* here, P* there
  kNotPunctuation = 16,
  kNotCombining = 32,  // combining class 0 there
  kNotDecomposed = 64,
};

struct UnicodeDifference {
  char32_t first, last;  // inclusive
  int flags;
};

struct LowerCase {
  char32_t first, last;  // inclusive
  std::int32_t shift;    // added to the code point
};

std::span<const UnicodeDifference> unicode_differences();
std::span<const LowerCase> newer_lower_cases();

}  // namespace weft
