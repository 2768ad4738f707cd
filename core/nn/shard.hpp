// How a parameter's local part maps to the full tensor.
#pragma once

#include <cstdint>
#include <vector>

#include "core/nn/module.hpp"

namespace weft {

// One of `ranks` tensor ranks.
struct TensorRank {
  int rank = 0;
  int ranks = 1;
};

// Shape of every rank's part. A single-segment dim that the ranks do not divide is padded at its
// end (a vocabulary); a dim of several segments must divide: asserted, the layers check it with a
// message.
Shape shard_shape(const Shape& full, const Shard& shard, int ranks);

// A stretch of elements that is contiguous both in the local part and in the full tensor.
struct ShardRun {
  std::int64_t local = 0;  // first element in the local part
  std::int64_t full = 0;   // first element in the full tensor
  std::int64_t count = 0;
};

// All runs of a rank's part, in rising order of both positions. Padding belongs to no run.
std::vector<ShardRun> shard_runs(const Shape& full, const Shard& shard, const TensorRank& at);

}  // namespace weft
