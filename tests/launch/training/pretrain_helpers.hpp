// Runs of `weft pretrain` and what they leave behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {

inline ProgramResult pretrain(const std::vector<std::string>& lines,
                              const std::string& options = "",
                              const std::string& launcher = "OMP_NUM_THREADS=1 ") {
  return run_shell(launcher + "$WEFT pretrain " + write_config(lines).string() + " " + options);
}

// Two ranks, at work in dir/d0 and dir/d1.
inline ProgramResult pretrain_apart(const std::filesystem::path& dir,
                                    const std::vector<std::string>& lines,
                                    const std::string& options = "") {
  return run_shell(mpirun(2) + "sh -c 'cd " + dir.string() +
                   "/d$OMPI_COMM_WORLD_RANK && exec \"$0\" pretrain " +
                   write_config(lines).string() + " " + options + "' \"$WEFT\"");
}

inline std::string weights_of(const std::filesystem::path& run_dir, const std::string& step) {
  return read_file(run_dir / "checkpoints" / step / "model.safetensors");
}

// Losses by step from metrics.jsonl.
inline std::map<std::int64_t, double> losses_of(const std::filesystem::path& run_dir) {
  std::map<std::int64_t, double> losses;
  for (const auto& [step, values] : read_metrics(run_dir, "loss")) {
    losses[step] = values["loss"].get<double>();
  }
  return losses;
}

inline int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// A run that is asked to stop within an evaluation that would take minutes, once `file` of its
// directory has a text.
inline ProgramResult stopped_in_evaluation(const std::vector<std::string>& lines,
                                           const std::filesystem::path& file,
                                           const std::string& text, const std::string& options) {
  return run_shell("$WEFT pretrain " + write_config(lines).string() + " " + options +
                   " --set eval.batches=1000000 & job=$!; until grep -q '" + text + "' " +
                   file.string() + " 2>/dev/null; do sleep 0.02; done; kill -USR1 $job; wait $job");
}

}  // namespace weft
