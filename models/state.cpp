// A model's parameters as a checkpoint stores them.
#include "models/state.hpp"

namespace weft {

std::vector<StateTensor> stored_tensors(const PretrainingModel& model, const NamedParameter& p,
                                        const Tensor& local, const std::string& prefix) {
  std::vector<StateTensor> list;
  for (const HfTensor& t : model.hf_tensors(p)) {
    list.push_back({.name = prefix + t.name,
                    .shape = t.shape,
                    .local = local,
                    .full = p.parameter->full,
                    .shard = p.parameter->shard,
                    .first = t.first});
  }
  return list;
}

std::vector<StateTensor> stored_tensors(PretrainingModel& model) {
  std::vector<StateTensor> list;
  for (const NamedParameter& p : parameters(model)) {
    for (StateTensor& t : stored_tensors(model, p, p.parameter->var.value()))
      list.push_back(std::move(t));
  }
  return list;
}

}  // namespace weft
