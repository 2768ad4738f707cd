// The products that a user has measured, in files of the user's cache.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace weft {

// $XDG_CACHE_HOME/weft or ~/.cache/weft, a file for each CPU and number of threads. Nothing where
// neither variable is set.
std::optional<std::filesystem::path> remembered_products(const std::string& cpu, int threads);

}  // namespace weft
