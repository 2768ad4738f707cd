// AdamW and LAMB.
#include "core/optim/optimizer.hpp"

#include <cmath>

#include "core/base/error.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

namespace {

Tensor zeros(const Shape& shape, Device device) {
  Tensor x(shape, DType::f32, device);
  backend(x).fill(x, 0);
  return x;
}

}  // namespace

Optimizer::Optimizer(std::vector<NamedParameter> parameters, OptimizerOptions options)
    : parameters_(std::move(parameters)), options_(std::move(options)) {
  const MemoryScope scope(MemoryUse::optimizer);
  for (const NamedParameter& p : parameters_) {
    const Tensor& value = p.parameter->var.value();
    Tensor w = value;
    if (value.dtype() != DType::f32) {
      w = empty_like(value, DType::f32);
      backend(w).copy(w, value);
    }
    w_.push_back(w);
    m_.push_back(zeros(value.shape(), value.device()));
    v_.push_back(zeros(value.shape(), value.device()));
  }
}

void Optimizer::step(const std::vector<Tensor>& gradients, const OptimizerStep& step) {
  check(gradients);
  const auto update = static_cast<double>(step.update);
  const bool correct = options_.bias_correction;
  const AdamArgs args{.lr = static_cast<float>(step.lr),
                      .eps = static_cast<float>(options_.eps),
                      .grad_scale = static_cast<float>(step.grad_scale),
                      .beta1 = options_.beta1,
                      .beta2 = options_.beta2,
                      .correction1 = correct ? 1 - std::pow(options_.beta1, update) : 1,
                      .correction2 = correct ? 1 - std::pow(options_.beta2, update) : 1};
  std::vector<AdamTensors> all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) all.push_back(tensors(i, gradients[i]));
  if (all.empty()) return;
  if (options_.type == OptimizerType::lamb) {
    lamb(all, args);
  } else {
    backend(w_[0]).adamw(all, args);
  }
  // Packed forms of the weights are out of date now.
  for (const NamedParameter& p : parameters_) p.parameter->var.value().storage().bump_version();
}

// w -= lr ratio u, with u Adam's direction plus the decay, and ratio = |w| / |u| over the whole
// parameter (1 where either is 0). Norms and biases, which do not decay, keep ratio 1.
//
// Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes",
// ICLR 2020; the exceptions are those of the code published with it.
void Optimizer::lamb(const std::vector<AdamTensors>& all, const AdamArgs& args) {
  // Those that have a ratio, first the ones that are cut over tensor ranks; then the others.
  std::vector<AdamTensors> ordered, whole, others;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Parameter& p = *parameters_[i].parameter;
    (!p.decay ? others : p.shard.dim >= 0 ? ordered : whole).push_back(all[i]);
  }
  const auto cut = static_cast<std::int64_t>(ordered.size());
  ordered.insert(ordered.end(), whole.begin(), whole.end());
  const auto with_ratio = static_cast<std::int64_t>(ordered.size());
  ordered.insert(ordered.end(), others.begin(), others.end());

  Backend& device = backend(w_[0]);
  const auto n = static_cast<std::int64_t>(ordered.size());
  Tensor squares({n, 2}, DType::f64, w_[0].device());
  device.lamb_moments(squares, ordered, args);
  if (options_.sum_over_tensor_ranks) {
    Tensor of_parts = squares.narrow(0, cut);
    options_.sum_over_tensor_ranks(of_parts);
  }
  Tensor of_others = squares.narrow(with_ratio, n - with_ratio);
  device.fill(of_others, 0);
  device.lamb_apply(ordered, squares, args);
}

std::vector<std::pair<std::string, std::vector<Tensor>>> Optimizer::state() const {
  return {{"exp_avg.", m_}, {"exp_avg_sq.", v_}};
}

void Optimizer::weights_changed() {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Tensor value = parameters_[i].parameter->var.value();
    if (value.dtype() != DType::f32) backend(value).copy(value, w_[i]);
    value.storage().bump_version();
  }
}

void Optimizer::check(const std::vector<Tensor>& gradients) const {
  if (gradients.size() != parameters_.size()) {
    throw Error("optimizer: " + std::to_string(gradients.size()) + " gradients for " +
                std::to_string(parameters_.size()) + " parameters");
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& g = gradients[i];
    if (g && g.dtype() == DType::f32 && g.numel() == w_[i].numel()) continue;
    throw Error("optimizer: the gradient of " + parameters_[i].name + " is " +
                    (g ? g.shape().str() + " " + std::string(name_of(g.dtype())) : "missing"),
                "it must be " + w_[i].shape().str() + " f32");
  }
}

AdamTensors Optimizer::tensors(std::size_t i, const Tensor& gradient) const {
  const Parameter& p = *parameters_[i].parameter;
  const Tensor& value = p.var.value();
  return {.w = w_[i],
          .m = m_[i],
          .v = v_[i],
          .copy = value.dtype() == DType::f32 ? Tensor{} : value,
          .g = gradient,
          .weight_decay = p.decay ? static_cast<float>(options_.weight_decay) : 0};
}

}  // namespace weft
