// A model's parameters, or tensors of their shapes, as a checkpoint stores them: by Hugging Face
// names.
#pragma once

#include <string>
#include <vector>

#include "models/task.hpp"
#include "parallel/state_tensor.hpp"

namespace weft {

// The stored tensors of one parameter whose values are in `local` (the parameter's own tensor, its
// fp32 master weights, a moment of the optimizer), each name with `prefix` before it.
std::vector<StateTensor> stored_tensors(const PretrainingModel& model, const NamedParameter& p,
                                        const Tensor& local, const std::string& prefix = {});

// Those of all parameters, with the parameters' own tensors.
std::vector<StateTensor> stored_tensors(PretrainingModel& model);

}  // namespace weft
