// WordPiece: a word as the longest pieces of a vocabulary, greedily from the left.
//
// Source: Wu et al., "Google's neural machine translation system", 2016; max-match as in BERT.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/byte_trie.hpp"

namespace weft {

struct WordPieceOptions {
  std::string unknown = "[UNK]";
  std::string prefix = "##";          // of the pieces that do not begin a word
  std::int64_t max_word_chars = 100;  // a longer word is unknown
};

class WordPiece {
 public:
  // `tokens[i]` has id i; one of them is `options.unknown`. Equal strings: the last one counts.
  WordPiece(const std::vector<std::string>& tokens, const WordPieceOptions& options);

  // Appends the ids of one normalised word (not empty), and to `ends`, if there is one, the byte
  // where each piece ends.
  void append(std::string_view word, std::vector<std::int32_t>& ids,
              std::vector<std::uint32_t>* ends = nullptr) const;

 private:
  ByteTrie trie_;
  std::int32_t inside_;  // the node that the prefix leads to
  std::int32_t unknown_;
  std::int64_t max_word_chars_;
};

}  // namespace weft
