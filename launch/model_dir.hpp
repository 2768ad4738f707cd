// Which directory a MODEL_DIR argument means.
#pragma once

#include <filesystem>

#include "launch/console.hpp"

namespace weft {

// A model directory is returned as it is. Of a run directory the newest checkpoint that verifies is
// used, and the console says so. Throws InputError for anything else.
std::filesystem::path resolve_model_dir(const std::filesystem::path& given, const Console& console);

}  // namespace weft
