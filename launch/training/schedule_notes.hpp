// What may surprise about the learning rate of a run.
#pragma once

#include "launch/config/config.hpp"
#include "launch/console.hpp"

namespace weft {

// Says in a line each that the run ends within its warm-up, that the end of the decay moved since
// the checkpoint that it continues from, or that it goes on after the learning rate came to zero.
// `stored`: training_values() of that checkpoint, or an empty object.
void tell_schedule(const Config& config, const Json& stored, const Console& console);

}  // namespace weft
