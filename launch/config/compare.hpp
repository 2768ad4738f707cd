// What of a configuration decides the training, to compare a run with what is asked of it now.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launch/config/config.hpp"

namespace weft {

// The values that decide the training, by dotted key, for trainer_state.json: as they are when they
// were given or are defaults, {"derived": VALUE} when they follow from other keys. Also which data
// stood behind data.train.
Json training_values(const Config& config);

// What differs between training_values() of a run's checkpoint and this configuration: one line per
// key, "run.yaml:7: optimizer.lr: 0.001 now, 0.0001 in the run". A derived value may follow what it
// derives from: what matters of that is compared by itself.
std::vector<std::string> training_changes(const Json& stored, const Config& config);

// The value that `stored` has for `key`, however it came about; nothing when it has none.
std::optional<Json> stored_value(const Json& stored, const std::string& key);

}  // namespace weft
