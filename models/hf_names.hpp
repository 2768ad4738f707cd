// From our parameter names to the tensor names of Hugging Face, by a table per family.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "models/task.hpp"

namespace weft {

// A parameter whose dotted name begins with `ours` is called `theirs` + the rest of the name. '#'
// stands for a number, the same on both sides. Several names: the parameter is their concatenation
// along dim 0, in equal parts.
struct HfRule {
  std::string_view ours;
  std::vector<std::string_view> theirs;
};

// By the first rule that matches; a parameter without one is a programmer's error and throws Error.
std::vector<HfTensor> translate(std::span<const HfRule> rules, const NamedParameter& p);

}  // namespace weft
