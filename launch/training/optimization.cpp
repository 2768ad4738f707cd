// The optimizer and the schedule that a configuration asks for.
#include "launch/training/optimization.hpp"

#include <algorithm>

namespace weft {

namespace {

// The squared norms of a tensor-parallel parameter's parts, added over its ranks: fp32 is plenty
// for LAMB's ratio, and all ranks get the same bits.
void sum_over_ranks(std::span<double> norms, Communicator& tensor) {
  Tensor shared({static_cast<std::int64_t>(norms.size())}, DType::f32);
  float* values = shared.data<float>();
  std::transform(norms.begin(), norms.end(), values,
                 [](double x) { return static_cast<float>(x); });
  tensor.all_reduce(shared, ReduceOp::sum);
  std::copy_n(values, norms.size(), norms.begin());
}

}  // namespace

Optimizer make_optimizer(const Config& config, const std::vector<NamedParameter>& parameters,
                         Mesh& mesh) {
  const auto& o = config.optimizer;
  OptimizerOptions options{.type = o.type,
                           .beta1 = o.betas[0],
                           .beta2 = o.betas[1],
                           .eps = o.eps,
                           .weight_decay = o.weight_decay,
                           .bias_correction = o.bias_correction};
  if (mesh.tensor().size() > 1) {
    options.sum_over_tensor_ranks = [&tensor = mesh.tensor()](std::span<double> norms) {
      sum_over_ranks(norms, tensor);
    };
  }
  return Optimizer(parameters, options);
}

Schedule make_schedule(const Config& config) {
  const auto& s = config.schedule;
  return {.type = s.type,
          .peak = config.optimizer.lr,
          .min_lr = s.min_lr,
          .warmup_steps = s.warmup_steps,
          .decay_steps = s.decay_steps,
          .power = s.power,
          .decay_fraction = s.decay_fraction};
}

}  // namespace weft
