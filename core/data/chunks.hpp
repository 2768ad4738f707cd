// Documents cut into chunks: runs of consecutive sentences that a sample is made of.
#pragma once

#include <cstdint>
#include <vector>

#include "core/data/token_file.hpp"

namespace weft {

// Consecutive tokens of one sentence. A sentence longer than the limit of its chunks is cut into
// equal pieces (to one token), so that no token is out of reach.
struct Piece {
  std::int64_t sentence = 0;
  std::int64_t first = 0;
  std::int64_t length = 0;
};

// How many pieces a sentence of `length` tokens has, and piece `i` of them.
std::int64_t piece_count(std::int64_t length, std::int64_t limit);
Piece piece_of(const TokenFile& file, std::int64_t sentence, std::int64_t limit, std::int64_t i);

struct Chunk {
  std::int64_t document = 0;
  std::vector<Piece> pieces;  // never empty
};

struct ChunkRule {
  std::int64_t limit = 0;  // tokens
  // A chunk ends with its document; before that, either once it reaches the limit (as Google's
  // BERT; what is too much is truncated later), or before the piece that would exceed it.
  bool may_exceed = true;
  std::int64_t min_tokens = 1;  // shorter chunks, at the end of documents, are left out
};

// All chunks of a token file by number. Built in one pass over the sentence lengths; memory is 16
// bytes per kStride chunks, and a look-up walks over at most kStride chunks.
class ChunkIndex {
 public:
  static constexpr std::uint64_t kStride = 64;

  ChunkIndex(const TokenFile& file, const ChunkRule& rule);

  std::uint64_t size() const { return size_; }
  Chunk chunk(const TokenFile& file, std::uint64_t i) const;  // i < size()

 private:
  struct Anchor {
    std::int64_t sentence;
    std::int64_t piece;
  };
  class Walker;

  ChunkRule rule_;
  std::uint64_t size_ = 0;
  std::vector<Anchor> anchors_;  // where chunks 0, kStride, 2 * kStride ... start
};

}  // namespace weft
