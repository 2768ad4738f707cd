// One training sample: token ids with special tokens, what is masked, and where it came from.
#pragma once

#include <cstdint>
#include <vector>

namespace weft {

// Where a segment's first token stands in the data, all counted from 0.
struct SegmentOrigin {
  std::int64_t source = 0;    // position in DataOptions::sources
  std::int64_t document = 0;  // in the source
  std::int64_t sentence = 0;  // in the source
};

struct Sample {
  std::vector<std::int32_t> ids;        // [CLS] A [SEP] or [CLS] A [SEP] B [SEP]; not padded
  std::vector<std::int32_t> type_ids;   // 0 up to the first [SEP], then 1
  std::vector<std::int32_t> places;     // predicted positions of `ids`, rising
  std::vector<std::int32_t> targets;    // the ids that stood there
  std::int32_t sentence_label = -1;     // as Batch::sentence_labels_B; -1: the objective has none
  std::vector<SegmentOrigin> segments;  // one per segment, in the order of the tokens
};

}  // namespace weft
