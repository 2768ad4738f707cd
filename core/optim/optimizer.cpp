// AdamW and LAMB.
#include "core/optim/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"

namespace weft {

namespace {

Tensor zeros(const Shape& shape, Device device) {
  Tensor x(shape, DType::f32, device);
  backend(x).fill(x, 0);
  return x;
}

Tensor largest_like(const std::vector<Tensor>& tensors) {
  const auto smaller = [](const Tensor& a, const Tensor& b) { return a.numel() < b.numel(); };
  return empty_like(*std::max_element(tensors.begin(), tensors.end(), smaller));
}

}  // namespace

Optimizer::Optimizer(std::vector<NamedParameter> parameters, OptimizerOptions options)
    : parameters_(std::move(parameters)), options_(std::move(options)) {
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
                      .weight_decay = static_cast<float>(options_.weight_decay),
                      .grad_scale = static_cast<float>(step.grad_scale),
                      .beta1 = options_.beta1,
                      .beta2 = options_.beta2,
                      .correction1 = correct ? 1 - std::pow(options_.beta1, update) : 1,
                      .correction2 = correct ? 1 - std::pow(options_.beta2, update) : 1};
  if (options_.type == OptimizerType::lamb) {
    lamb(gradients, args);
  } else {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      Tensor copy = compute_copy(i);
      backend(w_[i]).adamw(w_[i], m_[i], v_[i], copy, gradients[i], args_for(i, args));
    }
  }
  // Packed forms of the weights are out of date now.
  for (const NamedParameter& p : parameters_) p.parameter->var.value().storage().bump_version();
}

// w -= lr ratio u, with u Adam's direction plus the decay, and ratio = |w| / |u| over the whole
// parameter (1 where either is 0). Norms and biases, which do not decay, keep ratio 1.
//
// Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes",
// ICLR 2020; the exceptions are those of the code published with it.
void Optimizer::lamb(const std::vector<Tensor>& gradients, const AdamArgs& args) {
  std::vector<double> norms(2 * parameters_.size(), 0);  // squares of |w|, |u| for each parameter
  std::vector<double> sharded;
  const Tensor scratch = largest_like(w_);
  const auto direction = [&](std::size_t i, const AdamArgs& a) {
    Tensor u = scratch.slice_flat(0, w_[i].shape());
    backend(u).lamb_direction(u, m_[i], v_[i], w_[i], gradients[i], args_for(i, a));
    return u;
  };
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor u = direction(i, args);
    const Parameter& p = *parameters_[i].parameter;
    if (!p.decay) continue;
    norms[2 * i] = backend(u).squared_norm(w_[i]);
    norms[2 * i + 1] = backend(u).squared_norm(u);
    if (p.shard.dim >= 0) sharded.insert(sharded.end(), {norms[2 * i], norms[2 * i + 1]});
  }
  if (options_.sum_over_tensor_ranks) options_.sum_over_tensor_ranks(sharded);

  // A second pass over finished moments costs less than memory for the directions of all
  // parameters.
  AdamArgs finished = args;
  finished.beta1 = finished.beta2 = 1;
  std::size_t next = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = *parameters_[i].parameter;
    double w = norms[2 * i], u = norms[2 * i + 1];
    if (p.decay && p.shard.dim >= 0) {
      w = sharded[next++];
      u = sharded[next++];
    }
    const double ratio = p.decay && w > 0 && u > 0 ? std::sqrt(w / u) : 1;
    Tensor copy = compute_copy(i);
    backend(w_[i]).lamb_apply(w_[i], copy, direction(i, finished),
                              static_cast<float>(double{args.lr} * ratio));
  }
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

AdamArgs Optimizer::args_for(std::size_t i, const AdamArgs& args) const {
  AdamArgs own = args;
  if (!parameters_[i].parameter->decay) own.weight_decay = 0;
  return own;
}

Tensor Optimizer::compute_copy(std::size_t i) const {
  const Tensor& value = parameters_[i].parameter->var.value();
  return value.dtype() == DType::f32 ? Tensor{} : value;
}

}  // namespace weft
