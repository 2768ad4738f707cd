// What `weft help` and `weft COMMAND --help` print, and the completion script.
#pragma once

#include <span>
#include <string>

#include "launch/command.hpp"

namespace weft {

std::string usage_line(const Command& command);
std::string help_text(const Command& command);
std::string overview(std::span<const Command> commands);
std::string bash_completion(std::span<const Command> commands);

}  // namespace weft
