// Saving and loading a run.
#include "launch/training/checkpointing.hpp"

#include "models/hf_state.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

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
    content.files = tokenizer.files();
    content.files.push_back({"config.json", tensors.model.hf_config()});
    content.files.push_back({"trainer_state.json", to_json(state)});
  }
  return save_checkpoint(folder, content, mesh, {.keep = keep});
}

void load_run(const fs::path& checkpoint, const RunTensors& tensors, Mesh& mesh) {
  tensors.optimizer.load([&] {
    load_checkpoint(checkpoint, hf_state(tensors.model, tensors.optimizer.master()),
                    optimizer_state(tensors), mesh);
  });
}

}  // namespace weft
