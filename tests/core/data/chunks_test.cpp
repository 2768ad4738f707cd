// Chunks against cuts made by hand.
#include "core/data/chunks.hpp"

#include <gtest/gtest.h>

#include "tests/core/data/corpus.hpp"

namespace weft {
namespace {

using namespace testing_support;

// "document: sentence[first+length] ..."
std::vector<std::string> describe(const TokenFile& file, const ChunkRule& rule) {
  const ChunkIndex index(file, rule);
  std::vector<std::string> all;
  for (std::uint64_t i = 0; i < index.size(); ++i) {
    const Chunk chunk = index.chunk(file, i);
    std::string text = std::to_string(chunk.document) + ":";
    for (const Piece& p : chunk.pieces) {
      text += " " + std::to_string(p.sentence) + "[" + std::to_string(p.first) + "+" +
              std::to_string(p.length) + "]";
    }
    all.push_back(text);
  }
  return all;
}

class Chunks : public ::testing::Test {
 protected:
  ScratchDir dir_;
  TokenFile file_{make_tokens(dir_ / "x", counting_text({{3, 4, 2, 19, 1}, {1}, {8, 8, 7, 1}}))};
};

TEST_F(Chunks, FitBelowTheLimit) {
  EXPECT_EQ(describe(file_, {.limit = 8, .may_exceed = false}),
            (std::vector<std::string>{"0: 0[0+3] 1[0+4]", "0: 2[0+2]", "0: 3[0+7]", "0: 3[7+6]",
                                      "0: 3[13+6] 4[0+1]", "1: 5[0+1]", "2: 6[0+8]", "2: 7[0+8]",
                                      "2: 8[0+7] 9[0+1]"}));
}

TEST_F(Chunks, OrReachTheLimitWithWholePieces) {
  EXPECT_EQ(
      describe(file_, {.limit = 8, .may_exceed = true, .min_tokens = 2}),
      (std::vector<std::string>{"0: 0[0+3] 1[0+4] 2[0+2]", "0: 3[0+7] 3[7+6]", "0: 3[13+6] 4[0+1]",
                                "2: 6[0+8]", "2: 7[0+8]", "2: 8[0+7] 9[0+1]"}));
}

// Documents of many sizes; every token is in exactly one chunk, and look-ups far from an anchor
// agree with the walk from the start.
TEST(ChunkIndex, CoversEveryTokenOnce) {
  const ScratchDir dir;
  std::vector<std::vector<int>> lengths;
  for (int d = 0; d < 60; ++d) {
    lengths.emplace_back();
    for (int s = 0; s <= d % 13; ++s) lengths.back().push_back(1 + (d * 7 + s * 5) % 23);
  }
  lengths.push_back({1000});
  const TokenFile file(make_tokens(dir / "x", counting_text(lengths)));
  for (const bool may_exceed : {false, true}) {
    const ChunkIndex index(file, {.limit = 10, .may_exceed = may_exceed});
    EXPECT_GT(index.size(), 2 * ChunkIndex::kStride);
    std::int64_t sentence = 0, token = 0;
    for (std::uint64_t i = 0; i < index.size(); ++i) {
      const Chunk chunk = index.chunk(file, i);
      ASSERT_FALSE(chunk.pieces.empty());
      for (const Piece& p : chunk.pieces) {
        ASSERT_EQ(p.sentence, sentence);
        ASSERT_EQ(p.first, token);
        ASSERT_EQ(file.document_of(sentence), chunk.document);
        token += p.length;
        if (token == file.length(sentence)) ++sentence, token = 0;
      }
    }
    EXPECT_EQ(sentence, file.sentences());
  }
}

}  // namespace
}  // namespace weft
