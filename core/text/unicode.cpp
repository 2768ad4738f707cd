// Character flags, decomposition and lower case from utf8proc.
#include "core/text/unicode.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <utf8proc.h>

#include "core/text/unicode_differences.hpp"
#include "core/text/utf8.hpp"

namespace weft {
namespace {

constexpr char32_t kCodePoints = 0x110000;
constexpr char32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;  // decomposed by a formula
constexpr char32_t kCapitalIWithDot = 0x130, kCombiningDotAbove = 0x307;

bool is_ascii_punctuation(char32_t c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
         (c >= 123 && c <= 126);
}

// Google's ranges, but for the start of the last but two: Hugging Face has 2B920 where 2B820 was
// meant, and ids are to be equal.
bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_space(char32_t c, utf8proc_category_t category) {
  return (c >= 9 && c <= 13) || c == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

std::uint8_t flags_of(char32_t c) {
  const utf8proc_property_t& property = *utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
  const auto category = static_cast<utf8proc_category_t>(property.category);
  int flags = 0;
  if (is_space(c, category)) flags |= kSpace;
  if (is_ascii_punctuation(c) ||
      (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO)) {
    flags |= kPunct;
  }
  const bool control = category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
                       category == UTF8PROC_CATEGORY_CO || c == kReplacement;
  if (control && c != '\t' && c != '\n' && c != '\r') flags |= kControl;
  if (category == UTF8PROC_CATEGORY_MN) flags |= kNonspacing;
  if (is_ideograph(c)) flags |= kIdeograph;
  const bool canonical = property.decomp_seqindex != UINT16_MAX && property.decomp_type == 0;
  if (canonical || (c >= kHangulFirst && c <= kHangulLast)) flags |= kDecomposes;
  if (property.combining_class != 0) flags |= kReorders;
  return static_cast<std::uint8_t>(flags);
}

std::uint8_t corrected(std::uint8_t flags, int difference) {
  int f = flags;
  if (difference & kNotControl) f &= ~kControl;
  if (difference & kMark) f |= kNonspacing;
  if (difference & kNotMark) f &= ~kNonspacing;
  if (difference & kPunctuation) f |= kPunct;
  if (difference & kNotPunctuation) f &= ~kPunct;
  if (difference & kNotCombining) f &= ~kReorders;
  if (difference & kNotDecomposed) f &= ~kDecomposes;
  return static_cast<std::uint8_t>(f);
}

char32_t lower(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  for (const LowerCase& range : newer_lower_cases()) {
    if (c < range.first) break;
    if (c <= range.last) return static_cast<char32_t>(static_cast<std::int32_t>(c) + range.shift);
  }
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

struct Decomposed {
  char32_t code;
  int combining_class;
  bool inserted;  // not the first character of a decomposition
};

void append_decomposition(const CharTable& table, char32_t c, std::vector<Decomposed>& out) {
  utf8proc_int32_t parts[16] = {static_cast<utf8proc_int32_t>(c)};
  int count = 1, boundary = 0;
  if (table.flags(c) & kDecomposes) {
    count = static_cast<int>(
        utf8proc_decompose_char(parts[0], parts, std::size(parts), UTF8PROC_DECOMPOSE, &boundary));
  }
  for (int i = 0; i < count; ++i) {
    const auto part = static_cast<char32_t>(parts[i]);
    const int combining_class =
        table.flags(part) & kReorders ? utf8proc_get_property(parts[i])->combining_class : 0;
    out.push_back({part, combining_class, i > 0});
  }
}

}  // namespace

CharTable::CharTable() : flags_(kCodePoints) {
  for (char32_t c = 0; c < kCodePoints; ++c) flags_[c] = flags_of(c);
  for (const UnicodeDifference& d : unicode_differences()) {
    for (char32_t c = d.first; c <= d.last; ++c) flags_[c] = corrected(flags_[c], d.flags);
  }
}

const CharTable& char_table() {
  static const CharTable table;
  return table;
}

void decompose(const CharTable& table, std::vector<NormalChar>& chars) {
  const bool stable = std::none_of(chars.begin(), chars.end(), [&](const NormalChar& c) {
    return c.code >= 0x80 && table.flags(c.code) & (kDecomposes | kReorders);
  });
  if (stable) return;
  std::vector<Decomposed> parts;
  parts.reserve(2 * chars.size());
  for (const NormalChar& c : chars) append_decomposition(table, c.code, parts);
  for (auto first = parts.begin(); first != parts.end();) {
    if (first->combining_class == 0) {
      ++first;
      continue;
    }
    const auto last =
        std::find_if(first, parts.end(), [](const auto& p) { return p.combining_class == 0; });
    std::stable_sort(first, last, [](const auto& a, const auto& b) {
      return a.combining_class < b.combining_class;
    });
    first = last;
  }
  // Ranges as Hugging Face gives them: the i-th character that is not an insertion gets that of the
  // i-th original character, wherever reordering put it; an insertion that of its predecessor.
  std::vector<NormalChar> result;
  result.reserve(parts.size());
  std::size_t taken = 0;
  for (const Decomposed& part : parts) {
    if (!part.inserted) ++taken;
    const NormalChar& from = chars[taken > 0 ? taken - 1 : 0];
    result.push_back({part.code, from.begin, from.end});
  }
  chars.swap(result);
}

void lower_case(std::vector<NormalChar>& chars) {
  const auto dotted = std::count_if(chars.begin(), chars.end(),
                                    [](const NormalChar& c) { return c.code == kCapitalIWithDot; });
  if (dotted > 0) {
    std::vector<NormalChar> longer;
    longer.reserve(chars.size() + static_cast<std::size_t>(dotted));
    for (const NormalChar& c : chars) {
      longer.push_back(c);
      if (c.code == kCapitalIWithDot) {
        longer.back().code = 'i';
        longer.push_back({kCombiningDotAbove, c.begin, c.end});
      }
    }
    chars.swap(longer);
  }
  for (NormalChar& c : chars) c.code = lower(c.code);
}

}  // namespace weft
