// A tokenizer for tests: words of numbers, "7" or "7+8" for a word of two pieces, separated by
// spaces or full stops; any other sign is unknown.
#pragma once

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.hpp"

namespace weft::testing_support {

// Ids: 0 to 4 [PAD] [UNK] [CLS] [SEP] [MASK]; 5 + n the number n < words at the start of a word,
// 5 + words + n inside one.
class FakeTokenizer final : public Tokenizer {
 public:
  explicit FakeTokenizer(std::int32_t words = 500) : words_(words) {
    for (const char* name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) names_.push_back(name);
    for (std::int32_t n = 0; n < words_; ++n) names_.push_back(std::to_string(n));
    for (std::int32_t n = 0; n < words_; ++n) names_.push_back("##" + std::to_string(n));
  }

  void append_ids(std::string_view text, std::vector<std::int32_t>& ids,
                  std::vector<std::uint8_t>& word_starts) const override {
    for (std::size_t i = 0; i < text.size();) {
      if (text[i] == ' ' || text[i] == '\n' || text[i] == '.') {
        ++i;
        continue;
      }
      const bool first = text[i] != '+';
      const char* begin = text.data() + i + (first ? 0 : 1);
      std::int32_t n = -1;
      const char* end = std::from_chars(begin, text.data() + text.size(), n).ptr;
      const bool known = end != begin && n >= 0 && n < words_;
      ids.push_back(!known ? 1 : first ? 5 + n : 5 + words_ + n);
      word_starts.push_back(first || !known ? 1 : 0);
      i = static_cast<std::size_t>((end == begin ? begin + 1 : end) - text.data());
    }
  }
  Encoding encode(std::string_view text, const EncodeOptions&) const override {
    Encoding e;
    std::vector<std::uint8_t> starts;
    append_ids(text, e.ids, starts);
    return e;
  }
  Encoding encode_pair(std::string_view a, std::string_view,
                       const EncodeOptions& options) const override {
    return encode(a, options);
  }
  std::string decode(const std::vector<std::int32_t>& ids, bool) const override {
    std::string text;
    for (const std::int32_t id : ids) text += (text.empty() ? "" : " ") + token(id);
    return text;
  }
  std::int32_t vocab_size() const override { return 5 + 2 * words_; }
  const std::string& token(std::int32_t id) const override {
    return names_[static_cast<std::size_t>(id)];
  }
  std::int32_t id_of(std::string_view token) const override {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == token) return static_cast<std::int32_t>(i);
    }
    return -1;
  }
  const SpecialTokens& special() const override { return special_; }
  bool is_special(std::int32_t id) const override { return id < 5; }
  bool starts_word(std::int32_t id) const override { return id < 5 + words_; }
  std::string hash() const override { return "fake-" + std::to_string(words_); }
  std::vector<SmallFile> files() const override { return {}; }

 private:
  std::int32_t words_;
  std::vector<std::string> names_;
  SpecialTokens special_{.pad = 0, .unk = 1, .cls = 2, .sep = 3, .mask = 4};
};

}  // namespace weft::testing_support
