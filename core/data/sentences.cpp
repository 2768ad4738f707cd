// The rules for sentence ends.
#include "core/data/sentences.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include <utf8proc.h>

namespace weft {

namespace {

using namespace std::string_view_literals;

// Sorted, for binary search.
constexpr std::array kNeverLast = {
    "Adm"sv, "Brig"sv, "Capt"sv, "Cdr"sv, "Cmdr"sv, "Col"sv,  "Cpl"sv,  "Dr"sv,
    "Fr"sv,  "Ft"sv,   "Gen"sv,  "Gov"sv, "Hon"sv,  "Lt"sv,   "Maj"sv,  "Messrs"sv,
    "Mme"sv, "Mr"sv,   "Mrs"sv,  "Ms"sv,  "Mt"sv,   "Pres"sv, "Prof"sv, "Pvt"sv,
    "Rep"sv, "Rev"sv,  "Sen"sv,  "Sgt"sv, "St"sv,   "Ste"sv,  "Supt"sv, "approx"sv,
    "ca"sv,  "cf"sv,   "e.g"sv,  "i.e"sv, "viz"sv,  "vs"sv};
constexpr std::array kBeforeNumber = {
    "Art"sv, "Ch"sv, "Eq"sv,  "Fig"sv, "Figs"sv, "No"sv, "Nos"sv, "Op"sv, "Sec"sv, "Vol"sv,
    "art"sv, "ch"sv, "fig"sv, "no"sv,  "nos"sv,  "op"sv, "p"sv,   "pp"sv, "vol"sv, "vols"sv};
constexpr std::array kMayBeLast = {
    "Apr"sv, "Assn"sv, "Aug"sv,  "Ave"sv, "Bros"sv, "Co"sv,  "Corp"sv, "Dec"sv, "Dept"sv,
    "Esq"sv, "Feb"sv,  "Inc"sv,  "Jan"sv, "Jr"sv,   "Jul"sv, "Jun"sv,  "Ltd"sv, "Mar"sv,
    "Nov"sv, "Oct"sv,  "Ph.D"sv, "Sep"sv, "Sept"sv, "Sr"sv,  "Univ"sv, "al"sv,  "etc"sv};
constexpr std::array kOpeners = {
    "A"sv,       "After"sv,  "Although"sv, "An"sv,    "And"sv,     "Another"sv, "As"sv,    "At"sv,
    "Because"sv, "Before"sv, "Both"sv,     "But"sv,   "By"sv,      "During"sv,  "Each"sv,  "For"sv,
    "From"sv,    "He"sv,     "Her"sv,      "His"sv,   "However"sv, "I"sv,       "If"sv,    "In"sv,
    "It"sv,      "Its"sv,    "Later"sv,    "Many"sv,  "Most"sv,    "My"sv,      "Of"sv,    "On"sv,
    "One"sv,     "Other"sv,  "Our"sv,      "She"sv,   "Since"sv,   "So"sv,      "Some"sv,  "Such"sv,
    "That"sv,    "The"sv,    "Their"sv,    "Then"sv,  "There"sv,   "These"sv,   "They"sv,  "This"sv,
    "Those"sv,   "Though"sv, "Thus"sv,     "To"sv,    "Today"sv,   "Two"sv,     "Until"sv, "We"sv,
    "What"sv,    "When"sv,   "Where"sv,    "While"sv, "Why"sv,     "With"sv,    "You"sv};

static_assert(std::ranges::is_sorted(kNeverLast) && std::ranges::is_sorted(kBeforeNumber) &&
              std::ranges::is_sorted(kMayBeLast) && std::ranges::is_sorted(kOpeners));

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& sorted, std::string_view word) {
  return std::binary_search(sorted.begin(), sorted.end(), word);
}

struct Sign {
  std::int32_t code = 0;
  std::size_t length = 0;  // in bytes; 0 at the end
};

Sign sign_at(std::string_view text, std::size_t i) {
  if (i >= text.size()) return {};
  const auto byte = static_cast<unsigned char>(text[i]);
  if (byte < 0x80) return {byte, 1};
  utf8proc_int32_t code = 0;
  const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + i),
                                  static_cast<utf8proc_ssize_t>(text.size() - i), &code);
  return n > 0 ? Sign{code, static_cast<std::size_t>(n)} : Sign{0xFFFD, 1};
}

bool is_wide_end(std::int32_t c) {
  return c == 0x3002 || c == 0xFF01 || c == 0xFF1F || c == 0xFF61;
}
bool is_end(std::int32_t c) {
  return c == '.' || c == '!' || c == '?' || c == 0x2026 || c == 0x61F || c == 0x6D4 ||
         c == 0x964 || c == 0x965 || is_wide_end(c);
}
bool is_space(std::int32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r') ||
         (c >= 0x80 && utf8proc_category(c) == UTF8PROC_CATEGORY_ZS);
}
bool is_quote(std::int32_t c) { return c == '"' || c == '\''; }
bool is_closing(std::int32_t c) {
  if (is_quote(c)) return true;
  const auto category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_PE || category == UTF8PROC_CATEGORY_PF;
}
bool is_opening(std::int32_t c) {
  if (is_quote(c)) return true;
  const auto category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_PS || category == UTF8PROC_CATEGORY_PI || c == 0xBF ||
         c == 0xA1;
}
bool is_digit(std::int32_t c) { return c >= '0' && c <= '9'; }
bool is_letter(std::int32_t c) {
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

// A run of end marks and what closes with it.
struct End {
  std::size_t after = 0;  // behind marks and closing signs
  bool wide = false;
  bool single_stop = false;
};

End end_at(std::string_view text, std::size_t i) {
  End end;
  std::size_t k = i;
  for (Sign s = sign_at(text, k); s.length > 0 && is_end(s.code); s = sign_at(text, k)) {
    end.wide = end.wide || is_wide_end(s.code);
    k += s.length;
  }
  end.single_stop = k == i + 1 && text[i] == '.';
  for (Sign s = sign_at(text, k); s.length > 0 && is_closing(s.code); s = sign_at(text, k)) {
    k += s.length;
  }
  end.after = k;
  return end;
}

// The letters, digits and inner stops that stand directly before position i.
std::string_view word_before(std::string_view text, std::size_t begin, std::size_t i) {
  std::size_t first = i;
  while (first > begin) {
    const char c = text[first - 1];
    const bool part = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' ||
                      (c & 0x80) != 0;
    if (!part) break;
    --first;
  }
  return text.substr(first, i - first);
}

std::string_view word_at(std::string_view text, std::size_t i) {
  std::size_t k = i;
  for (Sign s = sign_at(text, k); s.length > 0 && is_letter(s.code); s = sign_at(text, k)) {
    k += s.length;
  }
  return text.substr(i, k - i);
}

bool opens_sentences(std::string_view text, std::size_t i) {
  const auto word = word_at(text, i);
  const std::size_t after = i + word.size();
  const bool initial = word.size() == 1 && after < text.size() && text[after] == '.';
  return !initial && contains(kOpeners, word);
}

bool is_number(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return is_digit(c); });
}

// Whether the full stop at `stop`, with a new word at `next` that could open a sentence, ends one
// that began at `begin`.
bool stop_ends(std::string_view text, std::size_t begin, std::size_t stop, std::size_t next) {
  const auto word = word_before(text, begin, stop);
  if (contains(kNeverLast, word)) return false;
  if (contains(kBeforeNumber, word)) return !is_digit(sign_at(text, next).code);
  if (is_number(word) && word.data() == text.data() + begin) return false;
  const bool initial = word.size() == 1 && word[0] >= 'A' && word[0] <= 'Z';
  const bool inner_stop = word.find('.') != std::string_view::npos && !is_digit(word.front());
  if (initial || inner_stop || contains(kMayBeLast, word)) return opens_sentences(text, next);
  return true;
}

// Whether a run of end marks at `i` ends the sentence that began at `begin`.
bool ends_sentence(std::string_view text, std::size_t begin, std::size_t i, const End& end) {
  if (end.wide || end.after == text.size()) return true;
  std::size_t k = end.after;
  while (is_space(sign_at(text, k).code)) k += sign_at(text, k).length;
  if (k == text.size()) return true;
  if (k == end.after) return false;
  const auto first = sign_at(text, k).code;
  if (first == ',' || first == ';' || first == ':' || (is_closing(first) && !is_quote(first)))
    return false;
  while (k < text.size() && is_opening(sign_at(text, k).code)) k += sign_at(text, k).length;
  if (utf8proc_category(sign_at(text, k).code) == UTF8PROC_CATEGORY_LL) return false;
  return !end.single_stop || stop_ends(text, begin, i, k);
}

std::string_view trimmed(std::string_view text) {
  std::size_t first = 0;
  while (first < text.size() && is_space(sign_at(text, first).code)) {
    first += sign_at(text, first).length;
  }
  text.remove_prefix(first);
  std::size_t last = 0;  // behind the last sign that is not white space
  for (std::size_t k = text.size(); k > 0 && last == 0;) {
    --k;
    while (k > 0 && (text[k] & 0xC0) == 0x80) --k;
    if (const Sign s = sign_at(text, k); !is_space(s.code)) last = k + s.length;
  }
  return text.substr(0, last);
}

}  // namespace

void split_sentences(std::string_view paragraph, std::vector<std::string_view>& sentences) {
  sentences.clear();
  const std::string_view text = trimmed(paragraph);
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Sign s = sign_at(text, i);
    if (!is_end(s.code)) {
      i += s.length;
      continue;
    }
    const End end = end_at(text, i);
    if (ends_sentence(text, begin, i, end)) {
      sentences.push_back(text.substr(begin, end.after - begin));
      begin = end.after;
      while (is_space(sign_at(text, begin).code)) begin += sign_at(text, begin).length;
      i = begin;
    } else {
      i = end.after;
    }
  }
  if (begin < text.size()) sentences.push_back(text.substr(begin));
}

}  // namespace weft
