// A configuration as text: for people, and for the run directory.
#pragma once

#include <string>

#include "launch/config/config.hpp"

namespace weft {

// Every key of a resolved configuration with its value, and as a comment where it came from.
std::string config_with_origins(const Config& config);
// One JSON object per line: {"key", "value", "origin"}.
std::string config_as_json_lines(const Config& config);
// YAML that read_config() and resolve_config() bring back to the same values; derived ones, which
// depend on the other keys and the layout, stand in comments.
std::string config_yaml(const Config& config);

}  // namespace weft
