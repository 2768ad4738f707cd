// UTF-8 to code points and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

inline constexpr char32_t kReplacement = 0xFFFD;

// Decodes one code point of valid UTF-8 and moves `p` behind it.
inline char32_t next_code_point(const char*& p) {
  const auto byte = [&](int i) { return static_cast<std::uint8_t>(p[i]); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return ++p, lead;
  if (lead < 0xE0) {
    const char32_t c = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    return p += 2, c;
  }
  if (lead < 0xF0) {
    const char32_t c = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    return p += 3, c;
  }
  const char32_t c =
      (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  return p += 4, c;
}

// Appends a code point (a Unicode scalar value).
inline void append_code_point(char32_t c, std::string& out) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) return put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  if (c < 0x10000) return put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F));
  put(0x80 | (c & 0x3F));
}

inline std::int64_t count_code_points(std::string_view valid) {
  std::int64_t n = 0;
  for (const char c : valid) n += (static_cast<std::uint8_t>(c) & 0xC0) != 0x80;
  return n;
}

bool is_valid_utf8(std::string_view text);

// `text` itself when it is valid; else a copy in `storage` with U+FFFD for each maximal part of an
// ill-formed sequence (Unicode 15, section 3.9, table 3-8), as Python's errors="replace" does.
std::string_view to_valid_utf8(std::string_view text, std::string& storage);

}  // namespace weft
