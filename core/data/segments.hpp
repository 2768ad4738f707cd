// The segments of a sample: one run of whole sentences, or a pair A, B for NSP or SOP.
#pragma once

#include <cstdint>
#include <vector>

#include "core/data/chunks.hpp"
#include "core/data/objective.hpp"
#include "core/data/random.hpp"

namespace weft {

using Segment = std::vector<Piece>;  // consecutive; never empty

struct Segments {
  Segment a, b;  // b is empty for SentenceTask::none
  std::int64_t a_document = 0, b_document = 0;
  std::int32_t label = -1;  // NSP: 0 = B follows A, 1 = random; SOP: 0 = in order, 1 = swapped
};

std::int64_t token_count(const Segment& segment);

// The rule by which chunks are cut for an objective, and the number of tokens that segments may
// have beside the special tokens.
ChunkRule chunk_rule(SentenceTask task, std::int64_t seq_length);

// Draws the segments of one sample of at most `limit` tokens from its chunk.
//
// Pairs follow Google's create_pretraining_data.py (Devlin et al., 2019) where a chunk is given: A
// is a random number of the chunk's sentences; B is the rest, or with probability 1/2 (NSP) as many
// sentences as fit from a random start in another document of the file, which must have two. A pair
// too long loses one token at a time from the longer segment, at its front or back. Two things are
// better than there. A chunk of one sentence is cut inside the sentence instead of always taking a
// random B, so that the label tells nothing but what it should. Short samples start at a random
// sentence of the chunk, so that no place is preferred.
Segments draw_segments(const TokenFile& file, const Chunk& chunk, const ObjectiveOptions& options,
                       std::int64_t limit, RandomStream& random);

}  // namespace weft
