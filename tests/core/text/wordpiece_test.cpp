// Greedy longest match, with the vocabulary of BERT's own test.
#include "core/text/wordpiece.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

using Tokens = std::vector<std::string>;

const Tokens kVocab = {"[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed",   "wa",
                       "un",    "runn",  "##ing", ",",    "low",    "lowest", "\u00E9"};

std::string pieces(const std::string& word, const WordPieceOptions& options = {}) {
  const WordPiece model(kVocab, options);
  std::vector<std::int32_t> ids;
  std::vector<std::uint32_t> ends;
  model.append(word, ids, &ends);
  EXPECT_EQ(ids.size(), ends.size());
  EXPECT_EQ(ends.back(), word.size());
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    text +=
        (i ? " " : "") + kVocab[static_cast<std::size_t>(ids[i])] + ":" + std::to_string(ends[i]);
  }
  return text;
}

TEST(WordPiece, TakesTheLongestPieceFromTheLeft) {
  EXPECT_EQ(pieces("unwanted"), "un:2 ##want:6 ##ed:8");
  EXPECT_EQ(pieces("running"), "runn:4 ##ing:7");
  EXPECT_EQ(pieces("lowest"), "lowest:6");
  EXPECT_EQ(pieces("lowing"), "low:3 ##ing:6");
  EXPECT_EQ(pieces("\u00E9ing"), "\u00E9:2 ##ing:5");
}

TEST(WordPiece, AWordWithoutAMatchIsUnknownAsAWhole) {
  EXPECT_EQ(pieces("unwantedX"), "[UNK]:9");
  EXPECT_EQ(pieces("lowes"), "[UNK]:5");
  EXPECT_EQ(pieces("x"), "[UNK]:1");
}

TEST(WordPiece, LengthIsCountedInCharacters) {
  EXPECT_EQ(pieces("lowing", {.max_word_chars = 6}), "low:3 ##ing:6");
  EXPECT_EQ(pieces("lowing", {.max_word_chars = 5}), "[UNK]:6");
  EXPECT_EQ(pieces("\u00E9ing", {.max_word_chars = 4}), "\u00E9:2 ##ing:5");
}

TEST(WordPiece, AnotherPrefixOrNone) {
  EXPECT_EQ(pieces("lowlow", {.prefix = ""}), "low:3 low:6");
  EXPECT_EQ(pieces("lowlow", {.prefix = "~~"}), "[UNK]:6");
  EXPECT_THROW(WordPiece(kVocab, {.unknown = "?"}), InputError);
}

}  // namespace
}  // namespace weft
