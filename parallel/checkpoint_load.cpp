// Finding and loading checkpoints.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/suggest.hpp"
#include "parallel/agree.hpp"
#include "parallel/checkpoint.hpp"
#include "parallel/checkpoint_folder.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

void load_group(const fs::path& checkpoint, std::string_view stem,
                const std::vector<StateTensor>& tensors, const TensorRank& at) {
  if (tensors.empty()) return;
  const ShardedFiles files(checkpoint, stem);
  std::set<std::string_view> wanted;
  for (const StateTensor& t : tensors) {
    wanted.insert(t.name);
    const auto entry = files.find(t.name);
    if (!entry) {
      std::vector<std::string> names;
      for (const auto& e : files.entries()) names.push_back(e.tensor->name);
      const std::string near = nearest(t.name, names);
      throw InputError(fmt::format("{}: no tensor {}", checkpoint.string(), t.name),
                       near.empty() ? "" : "the nearest name there is " + near);
    }
    read_state(t, *entry, at);
  }
  for (const auto& e : files.entries()) {
    if (!wanted.contains(e.tensor->name)) {
      throw InputError(fmt::format("{}: {} is no tensor of this model", e.file->path().string(),
                                   e.tensor->name));
    }
  }
}

}  // namespace

std::optional<FoundCheckpoint> find_checkpoint(const fs::path& folder) {
  const std::vector<std::int64_t> steps = checkpoint_steps(folder);
  FoundCheckpoint found;
  std::string newest_failure;
  for (const std::int64_t step : steps) {
    found.path = folder / checkpoint_name(step);
    try {
      found.step = verify_checkpoint(found.path).step;
      return found;
    } catch (const std::exception& e) {
      found.warnings.push_back(fmt::format("passed over {}: {}", checkpoint_name(step), e.what()));
      if (newest_failure.empty()) newest_failure = e.what();
    }
  }
  if (steps.empty()) return std::nullopt;
  throw Error(fmt::format("{}: none of its {} checkpoints is whole; of the newest: {}",
                          folder.string(), steps.size(), newest_failure),
              "restore one, or start anew: --resume never --force, or another run.dir");
}

void clean_checkpoints(const fs::path& folder, Communicator& world) {
  agree(world, [&] {
    if (world.rank() == 0) remove_leftovers(folder);
  });
}

void load_checkpoint(const fs::path& checkpoint, const std::vector<StateTensor>& model,
                     const std::vector<StateTensor>& optimizer, Mesh& mesh) {
  agree(mesh.world(), [&] {
    const TensorRank at{mesh.tensor().rank(), mesh.tensor().size()};
    load_group(checkpoint, "model", model, at);
    load_group(checkpoint, "optimizer", optimizer, at);
  });
}

}  // namespace weft
