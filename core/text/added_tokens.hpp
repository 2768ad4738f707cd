// Tokens that are found in the text before anything else looks at it: [MASK] and the like.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/byte_trie.hpp"

namespace weft {

struct AddedToken {
  std::int32_t id = -1;
  std::string content;
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // takes the spaces before it
  bool rstrip = false;
  bool normalized = false;  // looked for in the normalised text
  bool special = true;      // left out by decoding
};

// A piece of text: bytes [begin, end), and the id of the added token it is, or -1.
struct TextPart {
  std::size_t begin, end;
  std::int32_t id;
};

class CharTable;

class AddedTokenFinder {
 public:
  // `contents[i]` is what `tokens[i]` looks like in the text to search.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, const std::vector<std::string>& contents);

  bool empty() const { return tokens_.empty(); }

  // Cuts valid UTF-8 at the leftmost, then longest tokens; empty text has no parts.
  std::vector<TextPart> split(const CharTable& table, std::string_view text) const;

 private:
  std::vector<AddedToken> tokens_;
  ByteTrie trie_;
  std::array<bool, 256> starts_{};  // the first bytes of the tokens
  char only_start_ = 0;             // the first byte, when all tokens share it
  bool one_start_ = false;

  std::size_t candidate(std::string_view text, std::size_t from) const;
};

}  // namespace weft
