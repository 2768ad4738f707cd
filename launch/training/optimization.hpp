// The optimizer and the schedule that a configuration asks for.
#pragma once

#include <vector>

#include "core/optim/optimizer.hpp"
#include "core/optim/schedule.hpp"
#include "launch/config/config.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// Collective over mesh.data(), whose ranks share the update where they can. `mesh` and `parameters`
// must outlive it.
Optimizer make_optimizer(const Config& config, const std::vector<NamedParameter>& parameters,
                         Mesh& mesh);
Schedule make_schedule(const Config& config);

}  // namespace weft
