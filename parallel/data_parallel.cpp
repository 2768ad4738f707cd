// Data parallelism: what backward hands over, collected and summed over the data axis.
#include "parallel/data_parallel.hpp"

#include <utility>

#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"
#include "core/tensor/caching_allocator.hpp"

namespace weft {

namespace {

std::unique_ptr<GradientSums> sums_over(Communicator& data,
                                        const std::vector<NamedParameter>& parameters,
                                        const BucketOptions& options) {
  if (data.size() == 1 || parameters.empty()) return nullptr;
  if (parameters[0].parameter->var.value().device().type == DeviceType::cpu) {
    if (auto shared = shared_gradients(parameters, data)) return shared;
  }
  return bucketed_gradients(parameters, data, options);
}

}  // namespace

GradientBuckets::GradientBuckets(std::vector<NamedParameter> parameters, Mesh& mesh,
                                 const BucketOptions& options)
    : parameters_(std::move(parameters)), sums_(sums_over(mesh.data(), parameters_, options)) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    index_of_[parameters_[i].parameter->var.node().get()] = i;
  }
  zero();
}

GradientBuckets::~GradientBuckets() {
  for (const NamedParameter& p : parameters_) p.parameter->var.node()->want_gradient_at({});
}

// What one rank alone has kept is freed before the next forward pass.
void GradientBuckets::zero() {
  if (sums_) sums_->end();
  gradients_ = sums_ ? sums_->places() : std::vector<Tensor>(parameters_.size());
  owned_.assign(parameters_.size(), sums_ != nullptr);
  present_.assign(parameters_.size(), false);
  complete_.assign(parameters_.size(), false);
  begun_ = false;
}

void GradientBuckets::begin() {
  if (!std::exchange(begun_, true) && sums_) sums_->begin();
}

// Backward writes the first gradient of a parameter to its place, and adds later ones to it. One
// that it made is ours as soon as nobody else holds its memory.
void GradientBuckets::offer_places() {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& gradient = gradients_[i];
    if (present_[i] && gradient.weak_storage().use_count() == 1) owned_[i] = true;
    parameters_[i].parameter->var.node()->want_gradient_at(owned_[i] ? gradient : Tensor{},
                                                           present_[i]);
  }
}

LeafHook GradientBuckets::hook(bool last_micro_batch) {
  begin();
  offer_places();
  return [this, last_micro_batch](const Node* leaf, const Tensor& grad) {
    const auto it = index_of_.find(leaf);
    if (it == index_of_.end()) {
      throw Error("GradientBuckets: a gradient of shape " + grad.shape().str() +
                  " arrived for a leaf that is no parameter of the model");
    }
    arrived(it->second, grad, last_micro_batch);
  };
}

void GradientBuckets::arrived(std::size_t parameter, const Tensor& grad, bool last_micro_batch) {
  if (complete_[parameter]) {
    throw Error("GradientBuckets: a second gradient of '" + parameters_[parameter].name +
                    "' arrived in the last micro-batch",
                "call backward() once for each micro-batch, on the sum of its losses");
  }
  const Shape& shape = parameters_[parameter].parameter->var.shape();
  if (grad.numel() != shape.numel()) {
    throw Error("GradientBuckets: the gradient of '" + parameters_[parameter].name +
                "' has shape " + grad.shape().str() + ", the parameter " + shape.str());
  }
  keep(parameter, grad);
  present_[parameter] = true;
  parameters_[parameter].parameter->var.node()->want_gradient_at({});
  if (!last_micro_batch) return;
  complete_[parameter] = true;
  if (sums_) sums_->complete(parameter);
}

// What backward left at its place is there already. Elsewhere, the first gradient moves there, or
// is kept as it is, and later ones are added. What backward made may belong to others too, so the
// first sum makes a tensor of our own.
void GradientBuckets::keep(std::size_t parameter, const Tensor& grad) {
  const Tensor before = gradients_[parameter];
  if (owned_[parameter] && grad.raw() == before.raw()) return;
  if (present_[parameter]) {
    Tensor& sum = own(parameter);
    backend(sum).add(sum, before, grad);
  } else if (!owned_[parameter] && grad.dtype() == DType::f32) {
    gradients_[parameter] = grad.reshape(parameters_[parameter].parameter->var.shape());
    count_as(grad, MemoryUse::gradients);
  } else {
    Tensor& sum = own(parameter);
    backend(sum).copy(sum, grad);
  }
}

// The gradient of a parameter in memory that may be written: at its place, or a tensor.
Tensor& GradientBuckets::own(std::size_t parameter) {
  if (!owned_[parameter]) {
    const MemoryScope scope(MemoryUse::gradients);
    gradients_[parameter] = empty_like(parameters_[parameter].parameter->var.value(), DType::f32);
    owned_[parameter] = true;
  }
  return gradients_[parameter];
}

void GradientBuckets::finish() {
  begin();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (present_[i]) continue;
    Tensor& none = own(i);
    backend(none).fill(none, 0.0F);
  }
  if (sums_) sums_->finish();
}

Tensor GradientBuckets::squared_norms() const {
  return sums_ ? sums_->squared_norms() : squared_norms_on_device(gradients_);
}

}  // namespace weft
