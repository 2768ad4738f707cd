// What a run will do, in a few lines.
#pragma once

#include <string>

#include "core/data/dataset.hpp"
#include "launch/config/config.hpp"
#include "models/task.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// Parameters, memory of the state of training, layout, data and steps. Collective over the world.
std::string run_summary(const Config& config, PretrainingModel& model, const Dataset& train,
                        Mesh& mesh);

}  // namespace weft
