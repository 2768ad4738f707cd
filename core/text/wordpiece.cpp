// Greedy longest match over the trie.
#include "core/text/wordpiece.hpp"

#include "core/base/error.hpp"
#include "core/text/utf8.hpp"

namespace weft {

WordPiece::WordPiece(const std::vector<std::string>& tokens, const WordPieceOptions& options)
    : max_word_chars_(options.max_word_chars) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    trie_.insert(tokens[i], static_cast<std::int32_t>(i));
  }
  inside_ = trie_.walk(options.prefix);
  unknown_ = trie_.find(options.unknown);
  if (unknown_ == ByteTrie::kNone) {
    throw InputError("the unknown token \"" + options.unknown + "\" is not in the vocabulary");
  }
}

void WordPiece::append(std::string_view word, std::vector<std::int32_t>& ids,
                       std::vector<std::uint32_t>* ends) const {
  const std::size_t count = ids.size();
  const bool too_long = static_cast<std::int64_t>(word.size()) > max_word_chars_ &&
                        count_code_points(word) > max_word_chars_;
  std::size_t at = 0;
  while (!too_long && at < word.size()) {
    const std::int32_t node = at == 0 ? ByteTrie::kRoot : inside_;
    if (node == ByteTrie::kNone) break;
    const ByteTrie::Match match = trie_.longest(word.substr(at), node);
    if (match.value == ByteTrie::kNone) break;
    at += match.size;
    ids.push_back(match.value);
    if (ends) ends->push_back(static_cast<std::uint32_t>(at));
  }
  if (at == word.size()) return;
  if (ends) ends->resize(ends->size() - (ids.size() - count));
  ids.resize(count);
  ids.push_back(unknown_);
  if (ends) ends->push_back(static_cast<std::uint32_t>(word.size()));
}

}  // namespace weft
