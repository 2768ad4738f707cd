// Data parallelism: gradients gathered in flat buckets, summed over the data axis while backward
// runs on.
#include "parallel/data_parallel.hpp"

#include <utility>

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {
// Views start at multiples of 64 bytes, as allocations do.
constexpr std::int64_t kAlignment = 16;  // elements

std::int64_t aligned(std::int64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }
}  // namespace

GradientBuckets::GradientBuckets(std::vector<NamedParameter> parameters, Mesh& mesh,
                                 const BucketOptions& options)
    : parameters_(std::move(parameters)),
      gradients_(parameters_.size()),
      bucket_of_(parameters_.size()),
      data_(&mesh.data()) {
  build(options.bucket_bytes);
  zero();
  if (data_->size() > 1 && options.overlap) {
    thread_ = std::make_unique<CommunicationThread>(data_->duplicate());
  }
}

void GradientBuckets::build(std::int64_t bucket_bytes) {
  const std::int64_t capacity = bucket_bytes / static_cast<std::int64_t>(size_of(DType::f32));
  std::vector<std::int64_t> sizes;
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    const Var& var = parameters_[i].parameter->var;
    index_of_[var.node().get()] = i;
    const std::int64_t size = aligned(var.value().numel());
    if (buckets_.empty() || sizes.back() + size > capacity) {
      buckets_.emplace_back();
      sizes.push_back(0);
    }
    buckets_.back().members.push_back(i);
    bucket_of_[i] = buckets_.size() - 1;
    sizes.back() += size;
  }
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    Bucket& bucket = buckets_[b];
    const Device device = parameters_[bucket.members[0]].parameter->var.value().device();
    bucket.flat = Tensor({sizes[b]}, DType::f32, device);
    backend(bucket.flat).fill(bucket.flat, 0.0F);  // the gaps between views stay zero
    std::int64_t first = 0;
    for (const std::size_t i : bucket.members) {
      const Shape& shape = parameters_[i].parameter->var.shape();
      gradients_[i] = bucket.flat.slice_flat(first, shape);
      first += aligned(shape.numel());
    }
  }
}

void GradientBuckets::zero() {
  present_.assign(parameters_.size(), false);
  complete_.assign(parameters_.size(), false);
  for (Bucket& bucket : buckets_) bucket.waiting = bucket.members.size();
  handed_over_ = 0;
}

LeafHook GradientBuckets::hook(bool last_micro_batch) {
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
  Tensor& sum = gradients_[parameter];
  if (grad.numel() != sum.numel()) {
    throw Error("GradientBuckets: the gradient of '" + parameters_[parameter].name +
                "' has shape " + grad.shape().str() + ", the parameter " + sum.shape().str());
  }
  if (present_[parameter]) {
    backend(sum).add(sum, sum, grad);
  } else {
    backend(sum).copy(sum, grad);
    present_[parameter] = true;
  }
  if (!last_micro_batch) return;
  complete_[parameter] = true;
  if (--buckets_[bucket_of_[parameter]].waiting == 0 && thread_) hand_over_complete();
}

// Strictly in order, so that all ranks reduce the same bucket at the same time even if their
// gradients complete in another order.
void GradientBuckets::hand_over_complete() {
  while (handed_over_ < buckets_.size() && buckets_[handed_over_].waiting == 0) {
    thread_->all_reduce(buckets_[handed_over_++].flat);
  }
}

void GradientBuckets::finish() {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!present_[i]) backend(gradients_[i]).fill(gradients_[i], 0.0F);
  }
  for (; handed_over_ < buckets_.size(); ++handed_over_) {
    Tensor& flat = buckets_[handed_over_].flat;
    if (thread_) {
      thread_->all_reduce(flat);
    } else {
      data_->all_reduce(flat, ReduceOp::sum);
    }
  }
  if (thread_) thread_->wait();
}

}  // namespace weft
