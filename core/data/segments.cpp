// Cuts, pairs and truncates segments; only lengths are looked at, tokens are read afterwards.
#include "core/data/segments.hpp"

#include <cassert>
#include <tuple>
#include <utility>

namespace weft {

std::int64_t token_count(const Segment& segment) {
  std::int64_t n = 0;
  for (const Piece& p : segment) n += p.length;
  return n;
}

ChunkRule chunk_rule(SentenceTask task, std::int64_t seq_length) {
  // [CLS] A [SEP], or [CLS] A [SEP] B [SEP]; A and B have at least one token each.
  if (task == SentenceTask::none) {
    return {.limit = seq_length - 2, .may_exceed = false, .min_tokens = 1};
  }
  return {.limit = seq_length - 3, .may_exceed = true, .min_tokens = 2};
}

namespace {

void drop_front(Segment& segment, std::int64_t n) {
  std::size_t gone = 0;
  for (; n > 0 && segment[gone].length <= n; ++gone) n -= segment[gone].length;
  segment.erase(segment.begin(), segment.begin() + static_cast<std::ptrdiff_t>(gone));
  if (n > 0) {
    segment.front().first += n;
    segment.front().length -= n;
  }
}

void drop_back(Segment& segment, std::int64_t n) {
  for (; n > 0 && segment.back().length <= n; segment.pop_back()) n -= segment.back().length;
  if (n > 0) segment.back().length -= n;
}

void truncate(Segment& a, Segment& b, std::int64_t limit, RandomStream& random) {
  std::int64_t length[2] = {token_count(a), token_count(b)};
  std::int64_t front[2] = {}, back[2] = {};
  while (length[0] + length[1] > limit) {
    const int longer = length[0] > length[1] ? 0 : 1;
    --length[longer];
    ++(random.coin() ? front : back)[longer];
  }
  drop_front(a, front[0]);
  drop_back(a, back[0]);
  drop_front(b, front[1]);
  drop_back(b, back[1]);
}

// Pieces from a random start that reach `target` tokens, or all.
Segment random_run(const Segment& all, std::int64_t target, RandomStream& random) {
  std::int64_t rest = token_count(all);
  std::size_t starts = 0;  // the first `starts` pieces have target tokens from them to the end
  for (; starts < all.size() && rest >= target; ++starts) rest -= all[starts].length;
  if (starts == 0) return all;
  Segment run;
  std::int64_t total = 0;
  for (std::size_t i = random.below(starts); total < target; ++i) {
    run.push_back(all[i]);
    total += all[i].length;
  }
  return run;
}

// Splits pieces (of at least two tokens) in two parts, between pieces if there are several.
std::pair<Segment, Segment> cut(const Segment& all, RandomStream& random) {
  if (all.size() > 1) {
    const auto first = all.begin(),
               middle = first + 1 + static_cast<std::ptrdiff_t>(random.below(all.size() - 1));
    return {Segment(first, middle), Segment(middle, all.end())};
  }
  const Piece p = all[0];
  const auto head =
      1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(p.length) - 1));
  return {{{p.sentence, p.first, head}}, {{p.sentence, p.first + head, p.length - head}}};
}

// Sentences of another document than `document`, from a random one on, until `target` tokens.
Segment from_other_document(const TokenFile& file, std::int64_t document, std::int64_t target,
                            std::int64_t limit, RandomStream& random, std::int64_t& other) {
  assert(file.documents() > 1);
  other = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(file.documents()) - 1));
  if (other >= document) ++other;
  const std::int64_t begin = file.first_sentence(other), end = file.first_sentence(other + 1);
  std::int64_t sentence =
      begin + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(end - begin)));
  std::int64_t pieces = piece_count(file.length(sentence), limit);
  auto i = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(pieces)));
  Segment segment;
  for (std::int64_t total = 0;;) {
    segment.push_back(piece_of(file, sentence, limit, i));
    total += segment.back().length;
    if (total >= target) return segment;
    if (++i < pieces) continue;
    if (++sentence == end) return segment;
    pieces = piece_count(file.length(sentence), limit);
    i = 0;
  }
}

}  // namespace

Segments draw_segments(const TokenFile& file, const Chunk& chunk, const ObjectiveOptions& options,
                       std::int64_t limit, RandomStream& random) {
  Segments s;
  s.a_document = s.b_document = chunk.document;
  if (options.sentence == SentenceTask::none) {
    s.a = chunk.pieces;
    return s;
  }
  const bool shorter = random.chance(options.short_sequence_probability);
  const std::int64_t target =
      shorter ? 2 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(limit) - 1))
              : limit;
  std::tie(s.a, s.b) =
      cut(shorter ? random_run(chunk.pieces, target, random) : chunk.pieces, random);
  const bool change = random.coin();
  s.label = change ? 1 : 0;
  if (change && options.sentence == SentenceTask::sop) {
    std::swap(s.a, s.b);
  } else if (change) {
    s.b = from_other_document(file, chunk.document, target - token_count(s.a), limit, random,
                              s.b_document);
  }
  truncate(s.a, s.b, target, random);
  return s;
}

}  // namespace weft
