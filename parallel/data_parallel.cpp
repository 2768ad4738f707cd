// Data parallelism: gradients summed over the data axis, in memory that the ranks share or in flat
// buckets while backward runs on.
#include "parallel/data_parallel.hpp"

#include <utility>

#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"
#include "core/tensor/caching_allocator.hpp"

namespace weft {

namespace {
// Views start at multiples of 64 bytes, as allocations do.
constexpr std::int64_t kAlignment = 16;  // elements

std::int64_t aligned(std::int64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }
}  // namespace

GradientBuckets::GradientBuckets(std::vector<NamedParameter> parameters, Mesh& mesh,
                                 const BucketOptions& options)
    : parameters_(std::move(parameters)),
      layout_(parameters_),
      gradients_(parameters_.size()),
      bucket_of_(parameters_.size()),
      owned_(parameters_.size(), false),
      data_(&mesh.data()) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    index_of_[parameters_[i].parameter->var.node().get()] = i;
  }
  if (data_->size() > 1) build(options.bucket_bytes);
  zero();
  if (!buckets_.empty() && options.overlap) reducer_ = data_->background_reducer(device());
}

GradientBuckets::~GradientBuckets() {
  for (const NamedParameter& p : parameters_) p.parameter->var.node()->want_gradient_at({});
}

Device GradientBuckets::device() const {
  return parameters_.empty() ? Device{} : parameters_[0].parameter->var.value().device();
}

// In memory that the ranks of a host share there are no buckets.
void GradientBuckets::build(std::int64_t bucket_bytes) {
  if (device().type == DeviceType::cpu && share()) return;
  const std::int64_t capacity = bucket_bytes / static_cast<std::int64_t>(size_of(DType::f32));
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    const std::int64_t size = aligned(parameters_[i].parameter->var.value().numel());
    if (buckets_.empty() || buckets_.back().size + size > capacity) buckets_.emplace_back();
    buckets_.back().members.push_back(i);
    buckets_.back().size += size;
    bucket_of_[i] = buckets_.size() - 1;
  }
  for (Bucket& bucket : buckets_) allocate(bucket);
}

void GradientBuckets::allocate(Bucket& bucket) {
  const MemoryScope scope(MemoryUse::gradients);
  bucket.flat = Tensor({bucket.size}, DType::f32, device());
  backend(bucket.flat).fill(bucket.flat, 0.0F);  // the gaps between views stay zero
  std::int64_t first = 0;
  for (const std::size_t i : bucket.members) {
    const Shape& shape = parameters_[i].parameter->var.shape();
    gradients_[i] = bucket.flat.slice_flat(first, shape);
    owned_[i] = true;
    first += aligned(shape.numel());
  }
}

bool GradientBuckets::share() {
  shared_ = SharedSum::connect(*data_, layout_.elements());
  if (!shared_) return false;
  gradients_ = layout_.views(shared_->own());
  sums_ = layout_.views(shared_->sums());
  owned_.assign(parameters_.size(), true);
  return true;
}

void GradientBuckets::zero() {
  present_.assign(parameters_.size(), false);
  complete_.assign(parameters_.size(), false);
  begun_ = false;
  if (shared_) {
    shared_->end();
  } else if (buckets_.empty()) {
    owned_.assign(parameters_.size(), false);
    gradients_.assign(parameters_.size(), {});  // frees them before the next forward pass
  }
  for (Bucket& bucket : buckets_) bucket.waiting = bucket.members.size();
  handed_over_ = 0;
}

// Backward writes gradients to where they are added up, so the others must have read the last sums:
// they have during the forward pass.
void GradientBuckets::begin() {
  if (std::exchange(begun_, true)) return;
  if (shared_) shared_->begin();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (owned_[i]) parameters_[i].parameter->var.node()->want_gradient_at(gradients_[i]);
  }
}

LeafHook GradientBuckets::hook(bool last_micro_batch) {
  begin();
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
  if (!buckets_.empty() && --buckets_[bucket_of_[parameter]].waiting == 0 && reducer_) {
    hand_over_complete();
  }
}

// The first gradient is there already when backward wrote it to its place, or moves there, or is
// kept as it is; later ones are added. What backward made may belong to others too, so the first
// sum makes a tensor of our own.
void GradientBuckets::keep(std::size_t parameter, const Tensor& grad) {
  const Tensor before = gradients_[parameter];
  if (present_[parameter]) {
    Tensor& sum = own(parameter);
    backend(sum).add(sum, before, grad);
  } else if (!owned_[parameter] && grad.dtype() == DType::f32) {
    gradients_[parameter] = grad.reshape(parameters_[parameter].parameter->var.shape());
    count_as(grad, MemoryUse::gradients);
  } else if (grad.raw() != before.raw()) {
    Tensor& sum = own(parameter);
    backend(sum).copy(sum, grad);
  }
}

// The gradient of a parameter in memory that may be written: its view of a bucket, or a tensor.
Tensor& GradientBuckets::own(std::size_t parameter) {
  if (!owned_[parameter]) {
    const MemoryScope scope(MemoryUse::gradients);
    gradients_[parameter] = empty_like(parameters_[parameter].parameter->var.value(), DType::f32);
    owned_[parameter] = true;
  }
  return gradients_[parameter];
}

// Strictly in order, so that all ranks reduce the same bucket at the same time even if their
// gradients complete in another order.
void GradientBuckets::hand_over_complete() {
  while (handed_over_ < buckets_.size() && buckets_[handed_over_].waiting == 0) {
    reducer_->all_reduce(buckets_[handed_over_++].flat);
  }
}

void GradientBuckets::finish() {
  begin();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (present_[i]) continue;
    Tensor& none = own(i);
    backend(none).fill(none, 0.0F);
  }
  if (shared_) return shared_->add();
  if (!reducer_) {
    data_->grouped([&] {
      for (Bucket& bucket : buckets_) data_->all_reduce(bucket.flat, ReduceOp::sum);
    });
    return;
  }
  while (handed_over_ < buckets_.size()) reducer_->all_reduce(buckets_[handed_over_++].flat);
  reducer_->wait();
}

// Each rank of a host squares the part that it added: sums of parts are added in rank order, so all
// ranks get the same bits.
Tensor GradientBuckets::squared_norms() const {
  if (!shared_) return squared_norms_on_device(gradients_);
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    const Part part = layout_.within(shared_->part(), i);
    parts.push_back(sums_[i].slice_flat(part.first, {part.count()}));
  }
  Tensor squares = squared_norms_on_device(parts);
  if (squares) data_->all_reduce(squares, ReduceOp::sum);
  return squares;
}

}  // namespace weft
