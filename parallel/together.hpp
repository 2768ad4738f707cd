// Work that must succeed on every rank or fail on every rank.
#pragma once

#include <functional>

#include "parallel/communicator.hpp"

namespace weft {

// Runs `work` on every rank of `group`, then agrees: when it threw anywhere, all ranks throw the
// error of the lowest such rank (InputError or Error), which begins with "[rank 3 on HOST] " for
// ranks above 0. A `work` that communicates must not throw between its collectives.
void together(Communicator& group, const std::function<void()>& work);

}  // namespace weft
