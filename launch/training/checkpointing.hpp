// Saving and loading a run: tensors by their Hugging Face names, and the small files beside them.
#pragma once

#include <filesystem>

#include "core/optim/optimizer.hpp"
#include "core/text/tokenizer.hpp"
#include "launch/training/run_state.hpp"
#include "models/task.hpp"
#include "parallel/checkpoint.hpp"

namespace weft {

struct RunTensors {
  PretrainingModel& model;
  Optimizer& optimizer;
};

// Writes FOLDER/step-N, which is a Hugging Face directory too, and drops all but the newest `keep`.
// Collective over the world; an Error is one on all ranks, as in load_run().
SavedCheckpoint save_run(const std::filesystem::path& folder, const RunTensors& tensors,
                         const RunState& state, const Tokenizer& tokenizer, Mesh& mesh, int keep);

// Fills weights and moments from a checkpoint. Collective over the world.
void load_run(const std::filesystem::path& checkpoint, const RunTensors& tensors, Mesh& mesh);

}  // namespace weft
