// What can be said about one checkpoint after looking at all of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace weft {

struct CheckpointReport {
  std::int64_t step = 0;
  std::int64_t files = 0;
  std::uint64_t bytes = 0;
  std::string model_type;
  std::int64_t tensors = 0;     // of the model
  std::int64_t parameters = 0;  // numbers in them
  bool resumable = false;
  std::string why_not;            // a reason when it is not resumable
  std::int64_t samples = 0;       // seen by training, when resumable
  std::vector<int> tensor_sizes;  // values of parallel.tensor that divide the model
};

// Checks sizes, checksums, the tensors' names and shapes against config.json, and the optimizer's
// tensors against the model's. Throws Error naming the file and what is wrong with it.
CheckpointReport inspect_checkpoint(const std::filesystem::path& checkpoint);

}  // namespace weft
