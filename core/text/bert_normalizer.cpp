// Cleaning, ideographs, accents, case: in this order.
#include "core/text/bert_normalizer.hpp"

#include "core/text/utf8.hpp"

namespace weft {
namespace {

void clean(const CharTable& table, std::vector<NormalChar>& chars) {
  std::erase_if(chars, [&](const NormalChar& c) { return table.flags(c.code) & kControl; });
  for (NormalChar& c : chars) {
    if (table.flags(c.code) & kSpace) c.code = ' ';
  }
}

void separate_ideographs(const CharTable& table, std::vector<NormalChar>& chars) {
  std::vector<NormalChar> result;
  result.reserve(chars.size());
  for (const NormalChar& c : chars) {
    const bool alone = table.flags(c.code) & kIdeograph;
    if (alone) result.push_back({' ', c.begin, c.end});
    result.push_back(c);
    if (alone) result.push_back({' ', c.begin, c.end});
  }
  chars.swap(result);
}

}  // namespace

std::vector<NormalChar> to_chars(std::string_view text, std::int32_t first) {
  std::vector<NormalChar> chars;
  chars.reserve(text.size());
  const char* p = text.data();
  for (std::int32_t i = first; p != text.data() + text.size(); ++i) {
    chars.push_back({next_code_point(p), i, i + 1});
  }
  return chars;
}

void fold(const CharTable& table, const BertNormalizerOptions& options,
          std::vector<NormalChar>& chars) {
  if (options.strips_accents()) {
    decompose(table, chars);
    std::erase_if(chars, [&](const NormalChar& c) { return table.flags(c.code) & kNonspacing; });
  }
  if (options.lowercase) lower_case(chars);
}

void normalize(const CharTable& table, const BertNormalizerOptions& options,
               std::vector<NormalChar>& chars) {
  if (options.clean_text) clean(table, chars);
  if (options.handle_chinese_chars) separate_ideographs(table, chars);
  fold(table, options, chars);
}

std::string to_utf8(const std::vector<NormalChar>& chars) {
  std::string text;
  text.reserve(chars.size());
  for (const NormalChar& c : chars) append_code_point(c.code, text);
  return text;
}

}  // namespace weft
