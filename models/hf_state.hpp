// A model's parameters, or optimizer state that mirrors them, as tensors with Hugging Face names.
#pragma once

#include <string>
#include <vector>

#include "models/task.hpp"
#include "parallel/state_tensor.hpp"

namespace weft {

// locals[i] has the local shape of parameters(model)[i]: master weights, moments. Names get
// `prefix` in front: "exp_avg.".
std::vector<StateTensor> hf_state(PretrainingModel& model, const std::vector<Tensor>& locals,
                                  const std::string& prefix = "");

// The parameters' own values.
std::vector<StateTensor> hf_state(PretrainingModel& model);

}  // namespace weft
