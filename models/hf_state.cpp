// A model's parameters as tensors with Hugging Face names.
#include "models/hf_state.hpp"

#include <cassert>

namespace weft {

std::vector<StateTensor> hf_state(PretrainingModel& model, const std::vector<Tensor>& locals,
                                  const std::string& prefix) {
  const std::vector<NamedParameter> named = parameters(model);
  assert(named.size() == locals.size());
  std::vector<StateTensor> state;
  for (std::size_t i = 0; i < named.size(); ++i) {
    const Parameter& p = *named[i].parameter;
    for (const HfTensor& hf : model.hf_tensors(named[i])) {
      state.push_back({.name = prefix + hf.name,
                       .shape = hf.shape,
                       .local = locals[i],
                       .full = p.full,
                       .shard = p.shard,
                       .first = hf.first});
    }
  }
  return state;
}

std::vector<StateTensor> hf_state(PretrainingModel& model) {
  std::vector<Tensor> values;
  for (const NamedParameter& p : parameters(model)) values.push_back(p.parameter->var.value());
  return hf_state(model, values);
}

}  // namespace weft
