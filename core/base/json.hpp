// JSON read from files that may be hostile: duplicate keys and deep nesting are refused.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace weft {

using Json = nlohmann::ordered_json;

// Throws InputError "ORIGIN:LINE: ..." for anything that is not one JSON value (UTF-8, at most 256
// levels deep, no duplicate keys).
Json parse_json(std::string_view text, const std::string& origin);
Json read_json(const std::filesystem::path& path);

}  // namespace weft
