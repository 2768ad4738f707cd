// A run's directory: what is in it decides whether a run starts or continues.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "launch/config/config.hpp"
#include "launch/console.hpp"
#include "launch/training/run_state.hpp"
#include "parallel/communicator.hpp"

namespace weft {

struct ResumeOptions {
  std::string from = "auto";  // "auto", "never", or a checkpoint's or run's directory
  bool force = false;         // replace a run, or go on although the configuration changed
};

struct ResumePoint {
  std::filesystem::path checkpoint;
  RunState state;
};

std::filesystem::path checkpoints_of(const std::filesystem::path& run_dir);

// The checkpoint to continue from, or nothing for a new run. Throws InputError on all ranks when
// the directory holds something else, when a run is there that `never` would overwrite, or when the
// configuration differs from the run's in a way that changes the training. Writes nothing.
// Collective over the world.
std::optional<ResumePoint> find_resume_point(const Config& config, const ResumeOptions& options,
                                             const Tokenizer& tokenizer, const Console& console,
                                             Communicator& world);

// Makes the directory, removes what a run that starts anew or further back leaves behind, and
// writes config.yaml. Collective over the world; rank 0 writes.
void prepare_run_directory(const Config& config, const std::optional<ResumePoint>& resume,
                           Communicator& world);

}  // namespace weft
