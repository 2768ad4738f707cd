// How the profile of steps is printed.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "launch/profile/step_profile.hpp"

namespace weft {

// A table for people: a phase, a call or a range to a line, times of one step.
std::vector<std::string> lines_of(const StepProfile& profile, const Ceilings& ceilings);

// The same as objects with a member "profile": "step", "ceilings", "phase", "call", "outside" or
// "beside". Times, calls and work are of all steps together.
std::vector<Json> json_of(const StepProfile& profile, const Ceilings& ceilings);

}  // namespace weft
