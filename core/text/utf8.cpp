// Validation and repair of UTF-8.
#include "core/text/utf8.hpp"

#include <cstring>

namespace weft {
namespace {

struct Sequence {
  int length;  // bytes that belong together
  bool valid;
};

// The sequence at the start of [p, p + size), size > 0 (Unicode 15, table 3-7).
Sequence sequence_at(const std::uint8_t* p, std::size_t size) {
  const std::uint8_t lead = p[0];
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Overlong forms, surrogates and values above U+10FFFF show in the second byte.
  const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < length; ++i) {
    const bool fits = static_cast<std::size_t>(i) < size &&
                      (i == 1 ? p[i] >= low && p[i] <= high : (p[i] & 0xC0) == 0x80);
    if (!fits) return {i, false};
  }
  return {length, true};
}

// Bytes of the valid prefix.
std::size_t valid_prefix(std::string_view text) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  std::size_t i = 0;
  while (i < text.size()) {
    std::uint64_t eight = 0;
    if (text.size() - i >= sizeof eight) {
      std::memcpy(&eight, bytes + i, sizeof eight);
      if ((eight & 0x8080808080808080U) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const Sequence s = sequence_at(bytes + i, text.size() - i);
    if (!s.valid) return i;
    i += static_cast<std::size_t>(s.length);
  }
  return i;
}

}  // namespace

bool is_valid_utf8(std::string_view text) { return valid_prefix(text) == text.size(); }

std::string_view to_valid_utf8(std::string_view text, std::string& storage) {
  std::size_t good = valid_prefix(text);
  if (good == text.size()) return text;
  storage.clear();
  for (;;) {
    storage.append(text.substr(0, good));
    text.remove_prefix(good);
    if (text.empty()) return storage;
    append_code_point(kReplacement, storage);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    text.remove_prefix(static_cast<std::size_t>(sequence_at(bytes, text.size()).length));
    good = valid_prefix(text);
  }
}

}  // namespace weft
