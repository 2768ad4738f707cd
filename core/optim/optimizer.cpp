// AdamW and LAMB.
#include "core/optim/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

Optimizer::Optimizer(std::vector<NamedParameter> parameters, OptimizerOptions options)
    : parameters_(std::move(parameters)), options_(std::move(options)) {
  const MemoryScope scope(MemoryUse::optimizer);
  w_ = new_masters();
  m_ = new_tensors();
  v_ = new_tensors();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Tensor m = own_part(m_[i], i), v = own_part(v_[i], i);
    backend(m).fill(m, 0);
    backend(v).fill(v, 0);
  }
  if (options_.sharing) options_.sharing->meet();
}

// The parameters' own tensors where these are f32.
std::vector<Tensor> Optimizer::new_masters() const {
  std::vector<Tensor> masters;
  for (const NamedParameter& p : parameters_) masters.push_back(p.parameter->var.value());
  const auto is_f32 = [](const Tensor& w) { return w.dtype() == DType::f32; };
  if (std::all_of(masters.begin(), masters.end(), is_f32)) return masters;
  const std::vector<Tensor> wide = new_tensors();
  for (std::size_t i = 0; i < masters.size(); ++i) {
    if (is_f32(masters[i])) continue;
    Tensor w = own_part(wide[i], i);
    backend(w).copy(w, own_part(masters[i], i));
    masters[i] = wide[i];
  }
  return masters;
}

// One f32 tensor for each parameter.
std::vector<Tensor> Optimizer::new_tensors() const {
  if (options_.sharing) return options_.sharing->common_tensors();
  std::vector<Tensor> tensors;
  for (const NamedParameter& p : parameters_) {
    tensors.push_back(empty_like(p.parameter->var.value(), DType::f32));
  }
  return tensors;
}

// What this rank writes of a tensor that belongs to parameter i.
Tensor Optimizer::own_part(const Tensor& x, std::size_t i) const {
  if (!options_.sharing) return x;
  const Part part = options_.sharing->part(i);
  return x.slice_flat(part.first, {part.count()});
}

// Before the first rank writes, the last one has read what was there, and after the last has
// written, packed forms of the weights are out of date.
void Optimizer::write_together(const std::function<void()>& write) {
  if (options_.sharing) options_.sharing->meet();
  write();
  if (options_.sharing) options_.sharing->meet();
  for (const NamedParameter& p : parameters_) p.parameter->var.value().storage().bump_version();
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
  write_together([&] {
    if (options_.type == OptimizerType::lamb) {
      lamb(all, args);
    } else {
      backend(w_[0]).adamw(all, args);
    }
  });
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
  if (options_.sharing) options_.sharing->sum(squares);
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

void Optimizer::load(const std::function<void()>& write) {
  write_together([&] {
    write();
    if (options_.sharing) options_.sharing->meet();
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      Tensor value = own_part(parameters_[i].parameter->var.value(), i);
      if (value.dtype() != DType::f32) backend(value).copy(value, own_part(w_[i], i));
    }
  });
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
  return {.w = own_part(w_[i], i),
          .m = own_part(m_[i], i),
          .v = own_part(v_[i], i),
          .copy = value.dtype() == DType::f32 ? Tensor{} : own_part(value, i),
          .g = own_part(gradient, i),
          .weight_decay = p.decay ? static_cast<float>(options_.weight_decay) : 0};
}

}  // namespace weft
