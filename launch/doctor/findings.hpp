// What was built in and what was found, one thing at a time.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"

namespace weft {

struct Finding {
  std::string name;     // "cuDNN"
  std::string text;     // what there is
  std::string missing;  // why it cannot be used; "" when it can
  std::string hint;     // what to do about that
  Json values = Json::object();
};

// Of this process: build, processor, memory, libraries, GPUs.
std::vector<Finding> findings();

}  // namespace weft
