// What this binary was built with.
#pragma once

#include <string>

namespace weft {

std::string version();       // "0.1.0"
std::string version_text();  // what `weft --version` prints

}  // namespace weft
