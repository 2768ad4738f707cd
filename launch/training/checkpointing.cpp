// Saving and loading a run.
#include "launch/training/checkpointing.hpp"

#include <cstdlib>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "launch/failure.hpp"
#include "models/hf_state.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

// The tokenizer's files, by way of a folder that lives as long as this call.
std::vector<SmallFile> tokenizer_files(const Tokenizer& tokenizer) {
  std::string name = (fs::temp_directory_path() / "weft-tokenizer-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw Error(name + ": cannot be made");
  std::vector<SmallFile> files;
  try {
    tokenizer.save(name);
    for (const auto& entry : fs::directory_iterator(name)) {
      files.push_back({entry.path().filename().string(), read_file(entry.path())});
    }
  } catch (...) {
    fs::remove_all(name);
    throw;
  }
  fs::remove_all(name);
  return files;
}

std::vector<StateTensor> optimizer_state(const RunTensors& t) {
  std::vector<StateTensor> state;
  for (const auto& [prefix, tensors] : t.optimizer.state()) {
    for (StateTensor& s : hf_state(t.model, tensors, prefix)) state.push_back(std::move(s));
  }
  return state;
}

}  // namespace

SavedCheckpoint save_run(const fs::path& folder, const RunTensors& tensors, const RunState& state,
                         const Tokenizer& tokenizer, Mesh& mesh, int keep) {
  CheckpointContent content{.step = state.step,
                            .model = hf_state(tensors.model, tensors.optimizer.master()),
                            .optimizer = optimizer_state(tensors),
                            .files = {}};
  if (mesh.world().rank() == 0) {
    content.files = tokenizer_files(tokenizer);
    content.files.push_back({"config.json", tensors.model.hf_config()});
    content.files.push_back({"trainer_state.json", to_json(state)});
  }
  SavedCheckpoint saved;
  agree(mesh.world(), [&] { saved = save_checkpoint(folder, content, mesh, {.keep = keep}); });
  return saved;
}

void load_run(const fs::path& checkpoint, const RunTensors& tensors, const RunState&, Mesh& mesh) {
  agree(mesh.world(), [&] {
    load_checkpoint(checkpoint, hf_state(tensors.model, tensors.optimizer.master()),
                    optimizer_state(tensors), mesh);
  });
  tensors.optimizer.weights_changed();
}

}  // namespace weft
