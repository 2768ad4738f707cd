// The optimizer and the schedule that a configuration asks for.
#include "launch/training/optimization.hpp"

#include "parallel/shared_update.hpp"

namespace weft {

Optimizer make_optimizer(const Config& config, const std::vector<NamedParameter>& parameters,
                         Mesh& mesh) {
  const auto& o = config.optimizer;
  OptimizerOptions options{.type = o.type,
                           .beta1 = o.betas[0],
                           .beta2 = o.betas[1],
                           .eps = o.eps,
                           .weight_decay = o.weight_decay,
                           .bias_correction = o.bias_correction,
                           .sharing = SharedUpdate::connect(parameters, mesh.data())};
  if (mesh.tensor().size() > 1) {
    options.sum_over_tensor_ranks = [&tensor = mesh.tensor()](Tensor& squares) {
      tensor.all_reduce(squares, ReduceOp::sum);
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
