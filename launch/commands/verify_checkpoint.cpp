// weft verify-checkpoint DIR: whether a checkpoint is whole, and where training can go on with it.
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/io/manifest.hpp"
#include "launch/arguments.hpp"
#include "launch/checkpoint_report.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/console.hpp"
#include "launch/model_dir.hpp"
#include "parallel/checkpoint_folder.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

// A directory that is, or was, a checkpoint; damage may have taken any one of its files.
bool looks_like_checkpoint(const fs::path& directory) {
  return fs::exists(directory / kManifestName) || fs::exists(directory / "trainer_state.json") ||
         checkpoint_step(directory.filename().string());
}

// The checkpoint that is meant: the directory itself, or the newest whole one of a run.
fs::path choose_checkpoint(const std::string& given, const Console& console) {
  fs::path directory = given;
  if (!directory.has_filename()) directory = directory.parent_path();  // "DIR/"
  if (fs::is_directory(directory) && looks_like_checkpoint(directory)) return directory;
  const fs::path found = resolve_model_dir(directory, console);
  if (looks_like_checkpoint(found)) return found;
  throw InputError(found.string() + ": not a checkpoint: it has no manifest.json",
                   "a model from elsewhere has none; weft forward and fill-mask read it");
}

Json to_json(const fs::path& checkpoint, const CheckpointReport& r) {
  Json json = {{"path", checkpoint.string()},
               {"valid", true},
               {"step", r.step},
               {"files", r.files},
               {"bytes", r.bytes},
               {"model_type", r.model_type},
               {"tensors", r.tensors},
               {"parameters", r.parameters},
               {"can_resume", r.resumable},
               {"tensor_sizes", r.tensor_sizes}};
  if (r.resumable) json["samples"] = r.samples;
  return json;
}

std::string to_text(const fs::path& checkpoint, const CheckpointReport& r) {
  const std::string resume =
      r.resumable ? fmt::format("yes, on any number of data ranks, with parallel.tensor {}",
                                fmt::join(r.tensor_sizes, ", "))
                  : "no: " + r.why_not;
  const std::string seen = r.resumable ? fmt::format(", {} samples seen", r.samples) : "";
  return fmt::format(
      "{}: whole\n"
      "  step        {}{}\n"
      "  files       {}, {:.1f} MB, sizes and checksums right\n"
      "  model       {}, {} tensors, {} parameters, shapes as config.json says\n"
      "  can resume  {}",
      checkpoint.string(), r.step, seen, r.files, static_cast<double>(r.bytes) * 1e-6, r.model_type,
      r.tensors, r.parameters, resume);
}

int verify_checkpoint_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  const fs::path checkpoint = choose_checkpoint(arguments.positional(0), console);
  try {
    const CheckpointReport report = inspect_checkpoint(checkpoint);
    console.result(arguments.json() ? to_json(checkpoint, report).dump()
                                    : to_text(checkpoint, report));
    return kDone;
  } catch (const Error& e) {
    if (!arguments.json()) throw;
    const Json damage = {{"path", checkpoint.string()}, {"valid", false}, {"error", e.what()}};
    console.result(damage.dump(-1, ' ', false, Json::error_handler_t::replace));
    return kFailed;
  }
}

}  // namespace

Command describe_verify_checkpoint() {
  return {
      .name = "verify-checkpoint",
      .summary = "whether a checkpoint is whole, and where training can go on with it",
      .positionals = {{.name = "DIR",
                       .help = "a checkpoint, or a run directory: its newest whole checkpoint"}},
      .options = {},
      .example =
          "weft verify-checkpoint runs/bert-mini/checkpoints/step-00000500\n"
          "weft verify-checkpoint runs/bert-mini --json",
      .details =
          "Compares sizes and checksums with manifest.json, and names and shapes of all "
          "tensors with config.json. Exit status: 0 whole, 1 damaged (the error names "
          "the file), 2 not a checkpoint.",
      .run = verify_checkpoint_command};
}

}  // namespace weft
