// Which tensor of a checkpoint goes into which file, and which rank writes it: the same answer on
// every rank, without a word between them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "parallel/checkpoint.hpp"

namespace weft {

struct PlannedFile {
  std::string name;
  std::vector<const StateTensor*> tensors;  // in the order in which they are stored
  std::int64_t bytes = 0;
  int writer = 0;  // rank of the world
};

struct CheckpointPlan {
  std::vector<PlannedFile> files;
  std::vector<SmallFile> indices;  // of groups that take several files
};

// Weights go into as few files as `max_shard_bytes` allows; optimizer state into as many as there
// are ranks, but none smaller than `min_shard_bytes`. The largest files are given out first, each
// to the rank that has least to write.
CheckpointPlan plan_checkpoint(const CheckpointContent& content, const SaveOptions& options,
                               int ranks);

}  // namespace weft
