// A run's directory.
#include "launch/training/run_directory.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "launch/config/compare.hpp"
#include "launch/config/print.hpp"
#include "launch/failure.hpp"
#include "parallel/checkpoint.hpp"
#include "parallel/checkpoint_folder.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

// What a run writes; a directory with anything else beside is not taken for one.
constexpr std::array<std::string_view, 5> kRunFiles = {"config.yaml", "metrics.jsonl",
                                                       "tensorboard", "log.txt", "checkpoints"};

void check_is_run_directory(const Config& config) {
  const fs::path dir = config.run.dir;
  std::error_code error;
  if (!fs::exists(dir, error)) return;
  if (!fs::is_directory(dir)) {
    throw InputError(config.at("run.dir") + "run.dir: " + dir.string() + " is not a directory",
                     "name a directory that is new or of an earlier run");
  }
  if (fs::is_empty(dir) || fs::exists(dir / "config.yaml")) return;
  throw InputError(
      config.at("run.dir") + "run.dir: " + dir.string() + " is not empty and holds no run",
      "name a new directory");
}

std::vector<fs::path> checkpoints_after(const fs::path& run_dir, std::int64_t step) {
  std::vector<fs::path> later;
  if (!fs::is_directory(checkpoints_of(run_dir))) return later;
  for (const auto& entry : fs::directory_iterator(checkpoints_of(run_dir))) {
    if (checkpoint_step(entry.path().filename().string()).value_or(-1) > step) {
      later.push_back(entry.path());
    }
  }
  std::sort(later.begin(), later.end());
  return later;
}

// The newest checkpoint of a run, or the one checkpoint that `dir` is.
std::optional<ResumePoint> find_in(const fs::path& dir, const Console& console,
                                   Communicator& world) {
  ResumePoint point{.checkpoint = dir, .state = {}};
  if (!fs::exists(dir / "trainer_state.json")) {
    std::optional<FoundCheckpoint> found;
    agree(world, [&] { found = find_checkpoint(checkpoints_of(dir), world); });
    if (!found) return std::nullopt;
    for (const std::string& warning : found->warnings) console.warn(warning);
    point.checkpoint = found->path;
  } else {
    agree(world, [&] {
      if (world.rank() == 0) verify_checkpoint(dir);
    });
  }
  agree(world, [&] {
    const fs::path file = point.checkpoint / "trainer_state.json";
    point.state = run_state_from(read_json(file), file.string());
  });
  return point;
}

void check_unchanged(const Config& config, const ResumePoint& point, const Tokenizer& tokenizer,
                     const ResumeOptions& options, const Console& console) {
  if (point.state.tokenizer_hash != tokenizer.hash()) {
    throw InputError(fmt::format("{}tokenizer: {} is not the one of {}", config.at("tokenizer"),
                                 config.tokenizer, point.checkpoint.string()),
                     "the checkpoint holds its tokenizer: use that directory");
  }
  const std::vector<std::string> changes = training_changes(point.state.config, config);
  if (changes.empty()) return;
  const std::string all = fmt::format("{}", fmt::join(changes, "; "));
  if (options.force) {
    console.warn("the configuration changed: " + all);
    return;
  }
  throw InputError(fmt::format("{} (this would change the training of {})", all, config.run.dir),
                   "set the values back, start another run with --set run.dir=DIR, or accept the "
                   "change with --force");
}

void check_not_later(const Config& config, const ResumePoint& point, const ResumeOptions& options) {
  const auto later = checkpoints_after(config.run.dir, point.state.step);
  if (later.empty() || options.force) return;
  throw InputError(fmt::format("--resume {}: {} has later checkpoints, up to {}", options.from,
                               config.run.dir, later.back().filename().string()),
                   "--resume auto continues from the newest; --force removes the later ones");
}

}  // namespace

fs::path checkpoints_of(const fs::path& run_dir) { return run_dir / "checkpoints"; }

std::optional<ResumePoint> find_resume_point(const Config& config, const ResumeOptions& options,
                                             const Tokenizer& tokenizer, const Console& console,
                                             Communicator& world) {
  agree(world, [&] { check_is_run_directory(config); });
  const bool automatic = options.from == "auto" || options.from == "never";
  const fs::path dir = automatic ? fs::path(config.run.dir) : fs::path(options.from);
  std::optional<ResumePoint> point = find_in(dir, console, world);
  agree(world, [&] {
    if (options.from == "never") {
      if (point && !options.force) {
        throw InputError(fmt::format("--resume never: {} holds a run that is at step {}",
                                     config.run.dir, point->state.step),
                         "--resume auto continues it; --force replaces it");
      }
      return;
    }
    if (!automatic && !point) {
      throw InputError(fmt::format("--resume {}: no checkpoint there", options.from),
                       "give a checkpoint such as runs/first/checkpoints/step-00000500");
    }
    if (!point) return;
    check_unchanged(config, *point, tokenizer, options, console);
    if (!automatic) check_not_later(config, *point, options);
  });
  if (options.from == "never") point.reset();
  return point;
}

void prepare_run_directory(const Config& config, const std::optional<ResumePoint>& resume,
                           Communicator& world) {
  agree(world, [&] {
    if (world.rank() != 0) return;
    const fs::path dir = config.run.dir;
    const std::int64_t step = resume ? resume->state.step : -1;
    for (const fs::path& later : checkpoints_after(dir, step)) fs::remove_all(later);
    if (!resume) {
      for (const std::string_view name : kRunFiles) fs::remove_all(dir / name);
    }
    fs::create_directories(checkpoints_of(dir));
    write_file_atomic(dir / "config.yaml", config_yaml(config));
  });
  clean_checkpoints(checkpoints_of(config.run.dir), world);
}

}  // namespace weft
