// Walks over the sentences of a token file chunk by chunk.
#include "core/data/chunks.hpp"

#include <algorithm>
#include <cassert>

namespace weft {

std::int64_t piece_count(std::int64_t length, std::int64_t limit) {
  return (length + limit - 1) / limit;
}

Piece piece_of(const TokenFile& file, std::int64_t sentence, std::int64_t limit, std::int64_t i) {
  const std::int64_t length = file.length(sentence);
  const std::int64_t count = piece_count(length, limit);
  if (count == 1) return {sentence, 0, length};
  // The first length % count pieces have one token more than the others.
  const std::int64_t base = length / count, longer = length % count;
  return {sentence, i * base + std::min(i, longer), base + (i < longer ? 1 : 0)};
}

class ChunkIndex::Walker {
 public:
  Walker(const TokenFile& file, const ChunkRule& rule, Anchor start)
      : file_(file), rule_(rule), at_(start), document_(file.document_of(start.sentence)) {}

  // Where the next chunk that is long enough starts; false when there is none. Its pieces are
  // appended to `pieces` unless that is null.
  bool next(Anchor& start, std::vector<Piece>* pieces) {
    while (at_.sentence < file_.sentences()) {
      start = at_;
      if (pieces) pieces->clear();
      if (take(pieces) >= rule_.min_tokens) return true;
    }
    return false;
  }

  std::int64_t document() const { return document_; }  // of the last chunk

 private:
  std::int64_t take(std::vector<Piece>* pieces) {  // one chunk; its number of tokens
    if (at_.sentence == file_.first_sentence(document_ + 1)) ++document_;
    const std::int64_t end = file_.first_sentence(document_ + 1);
    std::int64_t total = 0;
    while (at_.sentence < end && total < rule_.limit) {
      const Piece piece = piece_of(file_, at_.sentence, rule_.limit, at_.piece);
      if (!rule_.may_exceed && total > 0 && total + piece.length > rule_.limit) break;
      total += piece.length;
      if (pieces) pieces->push_back(piece);
      if (++at_.piece == piece_count(file_.length(at_.sentence), rule_.limit)) {
        at_ = {at_.sentence + 1, 0};
      }
    }
    return total;
  }

  const TokenFile& file_;
  const ChunkRule& rule_;
  Anchor at_;
  std::int64_t document_;
};

ChunkIndex::ChunkIndex(const TokenFile& file, const ChunkRule& rule) : rule_(rule) {
  assert(rule.limit > 0);
  Walker walker(file, rule_, {0, 0});
  for (Anchor start{}; walker.next(start, nullptr); ++size_) {
    if (size_ % kStride == 0) anchors_.push_back(start);
  }
}

Chunk ChunkIndex::chunk(const TokenFile& file, std::uint64_t i) const {
  assert(i < size_);
  Walker walker(file, rule_, anchors_[i / kStride]);
  Chunk chunk;
  Anchor start{};
  for (std::uint64_t skip = i % kStride; skip > 0; --skip) walker.next(start, nullptr);
  walker.next(start, &chunk.pieces);
  chunk.document = walker.document();
  return chunk;
}

}  // namespace weft
