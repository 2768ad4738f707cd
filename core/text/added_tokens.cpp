// Finds added tokens as Hugging Face's AddedVocabulary does.
#include "core/text/added_tokens.hpp"

#include <algorithm>
#include <cstring>

#include <utf8proc.h>

#include "core/text/unicode.hpp"
#include "core/text/utf8.hpp"

namespace weft {
namespace {

// \w of Rust's regular expressions: Alphabetic, M, Nd, Pc, Join_Control.
bool is_word_char(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  const bool circled_letter = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                              (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
         category == UTF8PROC_CATEGORY_PC || circled_letter || c == 0x200C || c == 0x200D;
}

// The code point that ends at `end`, which is not 0; `begin` is where it starts.
char32_t code_point_before(std::string_view text, std::size_t end, std::size_t& begin) {
  begin = end - 1;
  while (begin > 0 && (static_cast<std::uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  const char* p = text.data() + begin;
  return next_code_point(p);
}

bool inside_word(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t before = 0;
  if (begin > 0 && is_word_char(code_point_before(text, begin, before))) return true;
  const char* p = text.data() + end;
  return end < text.size() && is_word_char(next_code_point(p));
}

std::size_t spaces_before(const CharTable& table, std::string_view text, std::size_t end) {
  std::size_t begin = 0;
  while (end > 0 && table.flags(code_point_before(text, end, begin)) & kSpace) end = begin;
  return end;
}

std::size_t spaces_after(const CharTable& table, std::string_view text, std::size_t begin) {
  const char* p = text.data() + begin;
  while (p != text.data() + text.size()) {
    const char* after = p;
    if (!(table.flags(next_code_point(after)) & kSpace)) break;
    p = after;
  }
  return static_cast<std::size_t>(p - text.data());
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens,
                                   const std::vector<std::string>& contents) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (contents[i].empty()) continue;
    trie_.insert(contents[i], static_cast<std::int32_t>(tokens_.size()));
    starts_[static_cast<std::uint8_t>(contents[i][0])] = true;
    only_start_ = contents[i][0];
    tokens_.push_back(tokens[i]);
  }
  one_start_ = std::count(starts_.begin(), starts_.end(), true) == 1;
}

std::size_t AddedTokenFinder::candidate(std::string_view text, std::size_t from) const {
  if (one_start_) return std::min(text.find(only_start_, from), text.size());
  while (from < text.size() && !starts_[static_cast<std::uint8_t>(text[from])]) ++from;
  return from;
}

std::vector<TextPart> AddedTokenFinder::split(const CharTable& table, std::string_view text) const {
  std::vector<TextPart> parts;
  std::size_t done = 0;
  if (!empty()) {
    for (std::size_t at = candidate(text, 0); at < text.size(); at = candidate(text, at)) {
      const ByteTrie::Match match = trie_.longest(text.substr(at));
      if (match.value == ByteTrie::kNone) {
        ++at;
        continue;
      }
      const AddedToken& token = tokens_[static_cast<std::size_t>(match.value)];
      std::size_t begin = at, end = at + match.size;
      at = end;
      if (token.single_word && inside_word(text, begin, end)) continue;
      begin = std::max(begin, done);  // an rstrip before may have taken a token's leading spaces
      if (token.lstrip) begin = std::max(spaces_before(table, text, begin), done);
      if (token.rstrip) end = spaces_after(table, text, end);
      if (done < begin) parts.push_back({done, begin, -1});
      if (begin < end) parts.push_back({begin, end, token.id});
      done = std::max(done, end);
    }
  }
  if (done < text.size()) parts.push_back({done, text.size(), -1});
  return parts;
}

}  // namespace weft
