// Text to normalised words: BertNormalizer and BertPreTokenizer in one pass.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/text/bert_normalizer.hpp"
#include "core/text/unicode.hpp"

namespace weft {

// A half-open range of code points of the original text.
using Span = std::pair<std::int32_t, std::int32_t>;

struct Words {
  struct Word {
    std::uint32_t begin, end;  // in `bytes`
    std::int32_t first;        // code point of the first byte when `spans` is -1: one byte each
    std::int64_t spans;        // index in `spans` of the first byte's; -1 for pure ASCII
  };
  std::string bytes;
  std::vector<Word> words;
  std::vector<Span> spans;  // one per byte

  std::string_view text(const Word& w) const {
    return std::string_view(bytes).substr(w.begin, w.end - w.begin);
  }
  // Where bytes [begin, end) of the word came from.
  Span source(const Word& w, std::uint32_t begin, std::uint32_t end) const {
    if (w.spans < 0) {
      return {w.first + static_cast<std::int32_t>(begin), w.first + static_cast<std::int32_t>(end)};
    }
    return {spans[static_cast<std::size_t>(w.spans) + begin].first,
            spans[static_cast<std::size_t>(w.spans) + end - 1].second};
  }
  void clear() {
    bytes.clear();
    words.clear();
    spans.clear();
  }
};

// Appends the words of normalised characters: cut at spaces, punctuation characters alone.
void split_normalized(const CharTable& table, std::span<const NormalChar> chars, Words& words);

// Cuts a text a stretch at a time, so that memory does not grow with the text.
//
// ASCII words are lower-cased where they stand. Other characters gather in a run that ends where no
// rule looks across (a space, an ideograph, punctuation that does not decompose) and goes through
// fold(): the words and places are those of normalising the whole text.
class WordSplitter {
 public:
  // `text` is valid UTF-8 and outlives the splitter; its first code point has number `first`.
  WordSplitter(const CharTable& table, const BertNormalizerOptions& options, std::string_view text,
               std::int32_t first);

  // Replaces `words` by those of the next stretch; false when there are none left.
  bool next(Words& words);

 private:
  void take_ascii(Words& words);
  void take_other(Words& words);
  void take_alone(NormalChar c, Words& words);
  void end_run(Words& words);

  const CharTable& table_;
  const BertNormalizerOptions& options_;
  const char* p_;
  const char* end_;
  std::int32_t at_;  // number of the code point at p_
  std::vector<NormalChar> run_, alone_;
};

}  // namespace weft
