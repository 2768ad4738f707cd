// Words and their places: known cases, every code point, and the fast path against the steps.
#include "core/text/word_splitter.hpp"

#include <array>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "core/text/bert_normalizer.hpp"
#include "core/text/utf8.hpp"
#include "tests/core/text/fixtures.hpp"
#include "tests/fuzz_rounds.hpp"

namespace weft {
namespace {

struct Piece {
  std::string text;
  Span source;
  bool operator==(const Piece&) const = default;
};

void append(const Words& words, std::vector<Piece>& pieces) {
  for (const Words::Word& w : words.words) {
    const std::string text(words.text(w));
    pieces.push_back({text, words.source(w, 0, static_cast<std::uint32_t>(text.size()))});
  }
}

class WordSplitterTest : public testing::Test {
 protected:
  std::vector<Piece> split(const std::string& text, const BertNormalizerOptions& options = {}) {
    std::vector<Piece> pieces;
    Words words;
    WordSplitter splitter(table_, options, text, 0);
    while (splitter.next(words)) append(words, pieces);
    return pieces;
  }

  // The definition: normalise all of it, then cut.
  std::vector<Piece> split_by_steps(const std::string& text, const BertNormalizerOptions& options) {
    std::vector<NormalChar> chars = to_chars(text);
    normalize(table_, options, chars);
    Words words;
    split_normalized(table_, chars, words);
    std::vector<Piece> pieces;
    append(words, pieces);
    return pieces;
  }

  std::string words(const std::string& text, const BertNormalizerOptions& options = {}) {
    std::string joined;
    for (const Piece& piece : split(text, options)) {
      joined += (joined.empty() ? "" : "|") + piece.text;
    }
    return joined;
  }

  const CharTable& table_ = char_table();
};

constexpr BertNormalizerOptions kCased{.lowercase = false};

// The cases of Google's and Hugging Face's own tests.
TEST_F(WordSplitterTest, KnownCases) {
  EXPECT_EQ(words("ah\u535A\u63A8zz"), "ah|\u535A|\u63A8|zz");
  EXPECT_EQ(words(" \tHeLLo!how  \n Are yoU?  "), "hello|!|how|are|you|?");
  EXPECT_EQ(words("H\u00E9llo"), "hello");
  EXPECT_EQ(words(" \tH\u00E4LLo!how  \n Are yoU?  "), "hallo|!|how|are|you|?");
  EXPECT_EQ(words("H\u00E9llo", {.strip_accents = false}), "h\u00E9llo");
  EXPECT_EQ(words(" \tHeLLo!how  \n Are yoU?  ", kCased), "HeLLo|!|how|Are|yoU|?");
  EXPECT_EQ(words("H\u00E4LLo", {.strip_accents = true, .lowercase = false}), "HaLLo");
  EXPECT_EQ(words(""), "");
  EXPECT_EQ(words(" \t\r\n\u3000\u00A0"), "");
}

TEST_F(WordSplitterTest, PlacesAreCodePointsOfTheOriginal) {
  EXPECT_EQ(split("A\u0301b, \u00C9\x01x"),
            (std::vector<Piece>{{"ab", {0, 3}}, {",", {3, 4}}, {"ex", {5, 8}}}));
  EXPECT_EQ(split("\u4E2DX", kCased), (std::vector<Piece>{{"\u4E2D", {0, 1}}, {"X", {1, 2}}}));
  EXPECT_EQ(split("x\u2260y"), (std::vector<Piece>{{"x", {0, 1}}, {"=", {1, 2}}, {"y", {2, 3}}}));
  // U+0130 becomes two characters of one place.
  EXPECT_EQ(split("\u0130a", {.strip_accents = false}), (std::vector<Piece>{{"i\u0307a", {0, 2}}}));
}

TEST_F(WordSplitterTest, WordsRunAcrossStretchesAndDroppedCharacters) {
  const std::string two =
      "a\x01"
      "b\u200B"
      "c";
  EXPECT_EQ(words(two), "abc");
  EXPECT_EQ(words(std::string("a\0b", 3)), "ab");
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "W" + std::to_string(i) + " ";
  const std::vector<Piece> pieces = split(many);
  ASSERT_EQ(pieces.size(), 5000U);
  EXPECT_EQ(pieces[4999].text, "w4999");
  EXPECT_EQ(pieces[4999].source.second, static_cast<std::int32_t>(many.size()) - 1);
}

TEST_F(WordSplitterTest, EveryCodePointIsTreatedAsHuggingFaceDoes) {
  const std::array<BertNormalizerOptions, 3> options = {
      BertNormalizerOptions{}, kCased,
      BertNormalizerOptions{.strip_accents = true, .lowercase = false}};
  constexpr char32_t kBlock = 4096;
  char32_t first = 0;
  for (const std::string& line : fixture_lines("unicode_words.txt")) {
    std::string found = fmt::format("{:06X}", static_cast<std::uint32_t>(first));
    for (const BertNormalizerOptions& o : options) {
      std::string all, text;
      Words words;
      for (char32_t c = first; c < first + kBlock; ++c) {
        if (c >= 0xD800 && c < 0xE000) continue;
        text = "a";
        append_code_point(c, text);
        text += "b";
        WordSplitter splitter(table_, o, text, 0);
        ASSERT_TRUE(splitter.next(words));
        for (const Words::Word& w : words.words) all.append(words.text(w)).push_back('|');
        all.back() = '\n';
      }
      const auto crc =
          crc32(0, reinterpret_cast<const Bytef*>(all.data()), static_cast<uInt>(all.size()));
      found += fmt::format(" {:08x}", crc);
    }
    EXPECT_EQ(found, line);
    first += kBlock;
  }
  EXPECT_EQ(first, 0x110000U);
}

std::string random_text(std::mt19937& random) {
  static const std::vector<char32_t> kChars = {
      'a',     'B',     ' ',    '.',    '\t',   '\n',    0,      1,      '-',     '#',
      0xE9,    0xC9,    0x301,  0x316,  0x323,  0x345,   0x334,  0x130,  0x1E9B,  0x4E2D,
      0xF900,  0x2F800, 0x3002, 0xFF0C, 0x2260, 0x37E,   0xAC01, 0x1100, 0x302E,  0x16FF0,
      0x1D160, 0x85,    0x200B, 0x3000, 0xFFFD, 0x1F600, 0x8D4,  0x1734, 0x11938, 0xE000};
  std::string text;
  const auto length = random() % 24;
  for (unsigned i = 0; i < length; ++i) append_code_point(kChars[random() % kChars.size()], text);
  return text;
}

TEST_F(WordSplitterTest, OnePassEqualsTheSteps) {
  std::mt19937 random(1);
  for (int i = 0; i < fuzz_rounds(40000); ++i) {
    const BertNormalizerOptions options{
        .clean_text = (i & 1) == 0,
        .handle_chinese_chars = (i & 2) == 0,
        .strip_accents = (i & 4) == 0 ? std::nullopt : std::optional((i & 8) == 0),
        .lowercase = (i & 16) == 0};
    const std::string text = random_text(random);
    ASSERT_EQ(split(text, options), split_by_steps(text, options)) << text;
  }
}

}  // namespace
}  // namespace weft
