// Where a run begins.
#include "launch/training/resume_point.hpp"

#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "launch/config/compare.hpp"
#include "parallel/checkpoint.hpp"
#include "parallel/checkpoint_folder.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

ResumePoint point_at(const fs::path& checkpoint) {
  const fs::path file = checkpoint / "trainer_state.json";
  return {.checkpoint = checkpoint, .state = run_state_from(read_json(file), file.string())};
}

// The newest whole checkpoint of a run.
std::optional<ResumePoint> newest_of(const fs::path& run_dir, const Console& console) {
  const auto found = find_checkpoint(checkpoints_of(run_dir));
  if (!found) return std::nullopt;
  for (const std::string& warning : found->warnings) console.warn(warning);
  return point_at(found->path);
}

// What --resume DIR names: a checkpoint, or the newest of a run.
ResumePoint given_point(const std::string& given, const Console& console) {
  const fs::path dir = given;
  std::optional<ResumePoint> point;
  if (fs::exists(dir / "trainer_state.json")) {
    verify_checkpoint(dir);
    point = point_at(dir);
  } else {
    point = newest_of(dir, console);
  }
  if (!point) {
    throw InputError(fmt::format("--resume {}: no checkpoint there", given),
                     "give a checkpoint such as runs/first/checkpoints/step-00000500");
  }
  point->own = false;
  point->state.began_from =
      RunSource{.dir = fs::absolute(dir).lexically_normal().string(), .step = point->state.step};
  return *point;
}

// Names alone count here: to start anew is what damaged checkpoints may call for.
void check_nothing_lost(const Config& config, const ResumeOptions& options) {
  const std::vector<std::int64_t> steps = checkpoint_steps(checkpoints_of(config.run.dir));
  if (steps.empty() || options.force) return;
  throw InputError(fmt::format("--resume never: {} holds a run that is at step {}", config.run.dir,
                               steps.front()),
                   "--resume auto continues it; --force replaces it");
}

// Whether two names mean the same place, which need not exist any more.
bool same_place(const fs::path& a, const fs::path& b) {
  const auto plain = [](const fs::path& p) {
    return (fs::current_path() / p / "").lexically_normal();
  };
  return plain(a) == plain(b);
}

bool is_of_run(const fs::path& dir, const fs::path& run_dir) {
  return same_place(dir, run_dir) || same_place(dir / "..", checkpoints_of(run_dir));
}

// `own` continues what --resume DIR began, or DIR is of the run itself. What DIR holds by now does
// not count: its run may have come further since, or be gone.
void check_own_goes_on(const Config& config, const std::string& dir, const ResumePoint& own,
                       const Console& console) {
  const std::optional<RunSource>& source = own.state.began_from;
  if (!is_of_run(dir, config.run.dir) && !(source && same_place(dir, source->dir))) {
    throw InputError(
        fmt::format("{}: {} holds another run, at step {}, which began at step {} and not "
                    "from {}",
                    config.named("run.dir"), config.run.dir, own.state.step,
                    source ? fmt::format("{} of {}", source->step, source->dir) : "0", dir),
        "start a new run with --set run.dir=DIR, or leave --resume out to continue that one");
  }
  if (!same_place(dir, config.run.dir) && !same_place(dir, own.checkpoint)) {
    console.info(fmt::format(
        "{} is at step {} and goes on from there, not from {}: to go back, remove the later "
        "checkpoints or set another run.dir",
        config.run.dir, own.state.step, dir));
  }
}

void check_unchanged(const Config& config, const ResumePoint& point, const Tokenizer& tokenizer,
                     const ResumeOptions& options, const Console& console) {
  if (point.state.tokenizer_hash != tokenizer.hash()) {
    throw InputError(fmt::format("{}: {} is not the one of {}", config.named("tokenizer"),
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

}  // namespace

fs::path checkpoints_of(const fs::path& run_dir) { return run_dir / "checkpoints"; }

std::optional<ResumePoint> choose_resume_point(const Config& config, const ResumeOptions& options,
                                               const Tokenizer& tokenizer, const Console& console) {
  if (options.from == "never") {
    check_nothing_lost(config, options);
    return std::nullopt;
  }
  std::optional<ResumePoint> point = newest_of(config.run.dir, console);
  if (options.from != "auto") {
    if (point) {
      check_own_goes_on(config, options.from, *point, console);
    } else {
      point = given_point(options.from, console);
    }
  }
  if (point) check_unchanged(config, *point, tokenizer, options, console);
  return point;
}

}  // namespace weft
