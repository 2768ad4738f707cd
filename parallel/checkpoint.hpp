// Checkpoints: a Hugging Face model directory with the state of training beside it, stored whole,
// so that any data x tensor layout can write it and any other can read it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "parallel/mesh.hpp"
#include "parallel/state_tensor.hpp"

namespace weft {

// What is saved. On every rank the same tensors in the same order; each `local` is f32. The small
// files are those of rank 0.
struct CheckpointContent {
  std::int64_t step = 0;
  std::vector<StateTensor> model;      // the fp32 master weights, by Hugging Face names
  std::vector<StateTensor> optimizer;  // "exp_avg.NAME", "exp_avg_sq.NAME"
  std::vector<SmallFile> files;        // go into the checkpoint as they are
};

struct SaveOptions {
  int keep = 0;  // newest checkpoints that stay; 0 keeps all
  std::int64_t max_shard_bytes = 5'000'000'000;
  // Optimizer state is cut over the ranks into files of at least this size, written at once.
  std::int64_t min_shard_bytes = std::int64_t{64} << 20;
};

struct SavedCheckpoint {
  std::filesystem::path path;
  std::vector<std::string> warnings;  // on rank 0: older ones that could not be removed
};

// Writes FOLDER/step-00000500 (made under another name, renamed when complete), then removes what
// `keep` no longer wants. Collective over the world; tensor slices travel within the tensor group,
// one tensor at a time. A failure on any rank is an Error on all of them that names the file and
// the reason; then no half-written checkpoint remains, and older ones are as they were.
SavedCheckpoint save_checkpoint(const std::filesystem::path& folder,
                                const CheckpointContent& content, Mesh& mesh,
                                const SaveOptions& options = {});

struct FoundCheckpoint {
  std::filesystem::path path;
  std::int64_t step = 0;
  std::vector<std::string> warnings;  // newer ones that were passed over, and why: one line each
};

// The newest checkpoint of FOLDER whose sizes and checksums verify; nothing when there is none at
// all. Throws Error when there are some and all are damaged. By one rank alone.
std::optional<FoundCheckpoint> find_checkpoint(const std::filesystem::path& folder);

// Removes what saves that died left in FOLDER (*.tmp, *.deleting, *.replaced). At the start of a
// run, when nobody saves. Collective over the world.
void clean_checkpoints(const std::filesystem::path& folder, Communicator& world);

// Fills the `local` parts, of any floating dtype, from a checkpoint or, for model tensors, any
// Hugging Face directory that has exactly these names. Each rank reads only its slices. Padding
// becomes zero. Throws Error on all ranks when a tensor is missing or has another shape. Collective
// over the world.
void load_checkpoint(const std::filesystem::path& checkpoint, const std::vector<StateTensor>& model,
                     const std::vector<StateTensor>& optimizer, Mesh& mesh);

}  // namespace weft
