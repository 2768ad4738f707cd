// The state of a run beside the tensors: where it stands, and what it was configured to be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/json.hpp"
#include "core/optim/loss_scaler.hpp"

namespace weft {

// What a run began from when it was another run's checkpoint.
struct RunSource {
  std::string dir;  // of --resume DIR, as it was given
  std::int64_t step = 0;
};

struct RunState {
  std::int64_t step = 0;     // finished steps
  std::int64_t samples = 0;  // seen: the data position
  std::int64_t tokens = 0;   // seen, padding not counted
  std::int64_t updates = 0;  // of the optimizer: steps less those skipped for non-finite gradients
  std::int64_t evaluated_step = -1;  // the last one with an evaluation; -1: none yet
  double seconds = 0;                // of training so far
  std::string tokenizer_hash;
  std::optional<LossScaler> loss_scaler;  // of a run in fp16
  Json config;                            // training_values() of the configuration
  std::optional<RunSource> began_from;
};

// trainer_state.json of a checkpoint.
std::string to_json(const RunState& state);
// Throws InputError naming `origin` and the key that is missing or wrong.
RunState run_state_from(const Json& json, const std::string& origin);

}  // namespace weft
