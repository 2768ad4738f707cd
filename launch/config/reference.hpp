// The help text about configurations.
#pragma once

#include <string>

namespace weft {

// All keys with their explanations, allowed values and defaults.
std::string config_reference();

}  // namespace weft
