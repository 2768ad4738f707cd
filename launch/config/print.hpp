// A configuration as text: for people, for the run directory, and for comparing two runs.
#pragma once

#include <string>
#include <vector>

#include "launch/config/config.hpp"

namespace weft {

// Every key of a resolved configuration with its value, and as a comment where it came from.
std::string config_with_origins(const Config& config);
// One JSON object per line: {"key", "value", "origin"}.
std::string config_as_json_lines(const Config& config);
// YAML that read_config() reads back to the same values.
std::string config_yaml(const Config& config);

// All keys of a configuration with their explanations, allowed values and defaults: a help text.
std::string config_reference();

// The values that decide the training, by dotted key, for trainer_state.json.
Json training_values(const Config& config);
// What differs between the values of a run's checkpoint and of this configuration: one line per
// key, "optimizer.lr: 0.0001 in the run, 0.001 at run.yaml:7".
std::vector<std::string> training_changes(const Json& stored, const Config& config);

}  // namespace weft
