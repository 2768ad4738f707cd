// Which directory a MODEL_DIR argument means.
#include "launch/model_dir.hpp"

#include "core/base/error.hpp"
#include "parallel/checkpoint.hpp"

namespace weft {

std::filesystem::path resolve_model_dir(const std::filesystem::path& given,
                                        const Console& console) {
  if (!std::filesystem::is_directory(given)) {
    throw InputError(given.string() + ": no such directory",
                     "give a Hugging Face model directory, a checkpoint, or a run directory");
  }
  if (std::filesystem::exists(given / "config.json")) return given;
  const auto found = find_checkpoint(given / "checkpoints");
  if (!found) {
    throw InputError(
        given.string() + ": neither a model directory (no config.json) nor a run with a checkpoint",
        "give a Hugging Face model directory, a checkpoint, or a run directory");
  }
  for (const std::string& warning : found->warnings) console.warn(warning);
  console.info("using " + found->path.string());
  return found->path;
}

}  // namespace weft
