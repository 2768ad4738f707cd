// Where a run begins: anew, or from a checkpoint of its own or of another run.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "launch/config/config.hpp"
#include "launch/console.hpp"
#include "launch/training/run_state.hpp"

namespace weft {

struct ResumeOptions {
  std::string from = "auto";  // "auto", "never", or a checkpoint's or run's directory
  bool force = false;         // replace a run, or go on although the configuration changed

  bool replaces() const { return from == "never" && force; }
};

struct ResumePoint {
  std::filesystem::path checkpoint;
  RunState state;
  bool own = true;  // in the run's own directory
};

std::filesystem::path checkpoints_of(const std::filesystem::path& run_dir);

// The checkpoint to continue from, or nothing for a new run. A run that began from the DIR of
// --resume, or that DIR is of, continues by itself, so that the same command started again loses
// nothing and needs DIR no more. Throws InputError when `never` would overwrite a run, when DIR has
// no checkpoint or is not what the run began from, or when the configuration differs in a way that
// changes the training; Error when there are checkpoints but none is whole. By one rank alone;
// writes nothing.
std::optional<ResumePoint> choose_resume_point(const Config& config, const ResumeOptions& options,
                                               const Tokenizer& tokenizer, const Console& console);

}  // namespace weft
