// Gradients in flat buckets, reduced while backward runs on.
#include "core/backend/transfer.hpp"
#include "core/tensor/memory_use.hpp"
#include "parallel/gradient_sums.hpp"

namespace weft {

namespace {

// Views start at multiples of 64 bytes, as allocations do.
constexpr std::int64_t kAlignment = 16;  // elements

std::int64_t aligned(std::int64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

class BucketedGradients final : public GradientSums {
 public:
  BucketedGradients(const std::vector<NamedParameter>& parameters, Communicator& data,
                    const BucketOptions& options);

  const std::vector<Tensor>& places() const override { return gradients_; }
  void complete(std::size_t parameter) override;
  void finish() override;
  const std::vector<Tensor>& sums() const override { return gradients_; }
  Tensor squared_norms() const override { return squared_norms_on_device(gradients_); }
  void end() override;

 private:
  struct Bucket {
    Tensor flat;
    std::vector<std::size_t> members;  // parameters
    std::int64_t size = 0;             // elements
    std::size_t waiting = 0;           // members that are not complete
  };

  void allocate(Bucket& bucket, const std::vector<NamedParameter>& parameters);

  std::vector<Bucket> buckets_;
  std::vector<std::size_t> bucket_of_;  // of each parameter
  std::vector<Tensor> gradients_;       // views of buckets: of this rank, then the sums of all
  std::size_t handed_over_ = 0;         // buckets given to the reducer in this step
  Communicator* data_;
  std::unique_ptr<BackgroundReducer> reducer_;  // none without overlap
};

BucketedGradients::BucketedGradients(const std::vector<NamedParameter>& parameters,
                                     Communicator& data, const BucketOptions& options)
    : bucket_of_(parameters.size()), gradients_(parameters.size()), data_(&data) {
  const std::int64_t capacity = options.bucket_bytes / static_cast<std::int64_t>(sizeof(float));
  for (std::size_t i = parameters.size(); i-- > 0;) {
    const std::int64_t size = aligned(parameters[i].parameter->var.shape().numel());
    if (buckets_.empty() || buckets_.back().size + size > capacity) buckets_.emplace_back();
    buckets_.back().members.push_back(i);
    buckets_.back().size += size;
    bucket_of_[i] = buckets_.size() - 1;
  }
  for (Bucket& bucket : buckets_) allocate(bucket, parameters);
  end();
  if (!buckets_.empty() && options.overlap) {
    reducer_ = data_->background_reducer(buckets_[0].flat.device());
  }
}

void BucketedGradients::allocate(Bucket& bucket, const std::vector<NamedParameter>& parameters) {
  const MemoryScope scope(MemoryUse::gradients);
  const Device device = parameters[bucket.members[0]].parameter->var.value().device();
  bucket.flat = Tensor({bucket.size}, DType::f32, device);
  backend(bucket.flat).fill(bucket.flat, 0.0F);  // the gaps between views stay zero
  std::int64_t first = 0;
  for (const std::size_t i : bucket.members) {
    const Shape& shape = parameters[i].parameter->var.shape();
    gradients_[i] = bucket.flat.slice_flat(first, shape);
    first += aligned(shape.numel());
  }
}

void BucketedGradients::end() {
  for (Bucket& bucket : buckets_) bucket.waiting = bucket.members.size();
  handed_over_ = 0;
}

// Buckets go strictly in order, so that all ranks reduce the same one at the same time even if
// their gradients complete in another order.
void BucketedGradients::complete(std::size_t parameter) {
  --buckets_[bucket_of_[parameter]].waiting;
  if (!reducer_) return;
  while (handed_over_ < buckets_.size() && buckets_[handed_over_].waiting == 0) {
    reducer_->all_reduce(buckets_[handed_over_++].flat);
  }
}

void BucketedGradients::finish() {
  if (!reducer_) {
    data_->grouped([&] {
      for (Bucket& bucket : buckets_) data_->all_reduce(bucket.flat, ReduceOp::sum);
    });
    return;
  }
  while (handed_over_ < buckets_.size()) reducer_->all_reduce(buckets_[handed_over_++].flat);
  reducer_->wait();
}

}  // namespace

std::unique_ptr<GradientSums> bucketed_gradients(const std::vector<NamedParameter>& parameters,
                                                 Communicator& data, const BucketOptions& options) {
  return std::make_unique<BucketedGradients>(parameters, data, options);
}

}  // namespace weft
