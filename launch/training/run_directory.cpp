// A run's directory.
#include "launch/training/run_directory.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/host.hpp"
#include "launch/config/compare.hpp"
#include "launch/config/print.hpp"
#include "parallel/agree.hpp"
#include "parallel/checkpoint.hpp"
#include "parallel/checkpoint_folder.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

constexpr const char* kConfigFile = "config.yaml";
constexpr const char* kLockFile = ".lock";
// How a config.yaml of ours begins.
constexpr std::string_view kMark = "# A run of Weft.";
// A rank that was killed may take a moment to be gone.
constexpr std::chrono::seconds kLockPatience{5};

bool is_staging(const std::string& name) {
  return name.starts_with(std::string(kConfigFile) + ".tmp-") ||
         name.starts_with(std::string(kProductsFile) + ".tmp-") ||
         name.starts_with("metrics.jsonl.tmp-");
}

fs::path doomed_checkpoints(const fs::path& dir) { return dir / "checkpoints.deleting"; }

// A directory is a run's when it has a config.yaml that Weft wrote, or checkpoints. That file is
// the first to be written: before, there is nothing but what a start that was killed left.
void check_is_run_directory(const Config& config) {
  const fs::path dir = config.run.dir;
  if (!fs::exists(dir)) return;
  if (!fs::is_directory(dir)) {
    throw InputError(config.named("run.dir") + ": " + dir.string() + " is not a directory",
                     "name a directory that is new or of an earlier run");
  }
  const fs::path own = dir / kConfigFile;
  if (fs::is_regular_file(own) && read_file(own).starts_with(kMark)) return;
  if (!checkpoint_steps(checkpoints_of(dir)).empty()) return;
  for (const auto& entry : fs::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    if (name == kLockFile || is_staging(name)) continue;
    throw InputError(fmt::format("{}: {} is not empty and holds no run: Weft did not write "
                                 "{}",
                                 config.named("run.dir"), dir.string(), entry.path().string()),
                     "name a new directory");
  }
}

std::string config_file_of(const Config& config) {
  return fmt::format("{} To continue it: weft pretrain {}\n{}", kMark,
                     (fs::path(config.run.dir) / kConfigFile).string(), config_yaml(config));
}

// On every rank what rank 0 decided.
std::optional<ResumePoint> told(const std::optional<ResumePoint>& decided, Communicator& world) {
  const std::string path = world.broadcast(decided ? decided->checkpoint.string() : "", 0);
  if (path.empty()) return std::nullopt;
  const std::string state = world.broadcast(decided ? to_json(decided->state) : "", 0);
  const std::string own = world.broadcast(decided && decided->own ? "own" : "", 0);
  return ResumePoint{.checkpoint = path,
                     .state = run_state_from(parse_json(state, path), path),
                     .own = !own.empty()};
}

}  // namespace

RunDirectory::RunDirectory(const Config& config, const ResumeOptions& options,
                           const Tokenizer& tokenizer, const Console& console, Communicator& world)
    : config_(config), options_(options), console_(console), world_(world) {
  agree(world_, [&] {
    if (world_.rank() != 0) return;
    check_is_run_directory(config);
    if (fs::exists(config.run.dir)) lock();
    restore_replaced(checkpoints_of(config.run.dir));
    resume_ = choose_resume_point(config, options, tokenizer, console);
  });
  resume_ = told(resume_, world_);
}

void RunDirectory::prepare() {
  const fs::path dir = config_.run.dir;
  agree(world_, [&] {
    if (world_.rank() != 0) return;
    if (!lock_) make();
    write_file_atomic(dir / kConfigFile, config_file_of(config_));
    if (options_.replaces()) forget_run();
    fs::remove_all(doomed_checkpoints(dir));
    // A run without a checkpoint of its own has no records to keep either.
    if (!resume_ || !resume_->own) forget_records();
    if (resume_ && resume_->own) set_aside_newer();
    fs::create_directories(checkpoints_of(dir));
    std::vector<fs::path> staging;
    for (const auto& entry : fs::directory_iterator(dir)) {
      if (is_staging(entry.path().filename().string())) staging.push_back(entry.path());
    }
    for (const fs::path& leftover : staging) fs::remove(leftover);
  });
  clean_checkpoints(checkpoints_of(dir), world_);
}

void RunDirectory::lock() {
  const fs::path file = fs::path(config_.run.dir) / kLockFile;
  lock_ = take_lock(file, kLockPatience);
  if (!lock_) {
    throw InputError(
        fmt::format("{}: another weft pretrain is at work in {}: {}", config_.named("run.dir"),
                    config_.run.dir, read_file(file)),
        fmt::format("wait for it or stop it; if its host died, remove {}", file.string()));
  }
  lock_->note(fmt::format("process {} on {}", getpid(), host_name()));
}

// The directory was not there when this start looked.
void RunDirectory::make() {
  if (!fs::create_directories(config_.run.dir)) {
    throw InputError(fmt::format("{}: another weft pretrain has just begun in {}",
                                 config_.named("run.dir"), config_.run.dir),
                     "start again to continue it when it has ended");
  }
  lock();
}

// The checkpoints go in one rename: killed in here, the run is the old one or the new one.
void RunDirectory::forget_run() const {
  const fs::path dir = config_.run.dir;
  fs::remove_all(doomed_checkpoints(dir));
  if (fs::exists(checkpoints_of(dir))) rename_path(checkpoints_of(dir), doomed_checkpoints(dir));
  forget_records();
  fs::remove(dir / "log.txt");
}

void RunDirectory::forget_records() const {
  for (const char* name : {"metrics.jsonl", "tensorboard", kProductsFile}) {
    fs::remove_all(fs::path(config_.run.dir) / name);
  }
}

void RunDirectory::set_aside_newer() const {
  const fs::path folder = checkpoints_of(config_.run.dir);
  for (const std::int64_t step : checkpoint_steps(folder)) {
    if (step <= resume_->state.step) break;  // newest first
    const fs::path aside = set_aside_checkpoint(folder / checkpoint_name(step));
    console_.warn(fmt::format("{} is kept as {}", checkpoint_name(step), aside.string()));
  }
}

}  // namespace weft
