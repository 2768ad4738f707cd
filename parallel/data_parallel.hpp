// Data parallelism: gradients summed over the data axis, in memory that the ranks share or in flat
// buckets while backward runs on.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/autograd/backward.hpp"
#include "core/nn/module.hpp"
#include "parallel/flat_layout.hpp"
#include "parallel/mesh.hpp"
#include "parallel/shared_sum.hpp"

namespace weft {

struct BucketOptions {
  std::int64_t bucket_bytes = std::int64_t{32} << 20;  // a larger parameter has a bucket of its own
  bool overlap = true;                                 // false: everything is reduced in finish()
};

// The f32 gradients of all parameters, on their device, in buckets of consecutive parameters, last
// visited first: about the order in which backward completes them. A step is
//
//   buckets.zero();
//   for each micro-batch: backward(loss, {}, buckets.hook(last));   // one backward() for each
//   buckets.finish();
//   use buckets.gradients()
//
// Where all data ranks compute on the CPUs of one host there are no buckets: backward writes each
// gradient into memory that all of them have mapped, and finish() adds up what is there.
//
// Sums do not depend on `overlap`: buckets are reduced in one order, the same on every rank. With
// one data rank there are no buckets, nothing is copied or sent: the gradients are the tensors that
// backward made.
class GradientBuckets {
 public:
  // Collective over mesh.data(). `parameters` and their tensors must outlive this object; options
  // are equal on all ranks.
  GradientBuckets(std::vector<NamedParameter> parameters, Mesh& mesh,
                  const BucketOptions& options = {});

  ~GradientBuckets();

  // Before the first micro-batch of a step. Writes no memory: the first gradient of a parameter is
  // taken as it is, later ones are added.
  void zero();

  // For backward(). On the last micro-batch a bucket is handed to the background reducer as soon
  // as it and all before it are complete. Valid as long as this object. The hook throws Error for a
  // leaf that is none of the parameters, and for a second gradient of one in the last micro-batch.
  LeafHook hook(bool last_micro_batch);

  // All buckets are summed over the data axis: on the host when this returns, on a GPU for the work
  // issued from now on. Parameters that got no gradient count as zero. Rethrows an error of the
  // background reducer.
  void finish();

  // One f32 tensor per parameter, of its local shape, in the order given; from finish() to zero(),
  // to be read only.
  const std::vector<Tensor>& gradients() const { return shared_ ? sums_ : gradients_; }
  // The sum of squares of each, f64 [n] on the device, where the ranks of one host share the work.
  // Collective over mesh.data().
  Tensor squared_norms() const;
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

 private:
  struct Bucket {
    Tensor flat;
    std::vector<std::size_t> members;  // parameters
    std::int64_t size = 0;             // elements
    std::size_t waiting = 0;           // members without a gradient of the last micro-batch
  };

  Device device() const;  // of all parameters
  void build(std::int64_t bucket_bytes);
  void allocate(Bucket& bucket);
  bool share();
  void begin();
  void arrived(std::size_t parameter, const Tensor& grad, bool last_micro_batch);
  void keep(std::size_t parameter, const Tensor& grad);
  Tensor& own(std::size_t parameter);
  void hand_over_complete();

  std::vector<NamedParameter> parameters_;
  FlatLayout layout_;
  std::vector<Tensor> gradients_;       // of this rank; those in buckets become those of all
  std::vector<Bucket> buckets_;         // none with one data rank, or with shared memory
  std::vector<std::size_t> bucket_of_;  // of each parameter
  std::unique_ptr<SharedSum> shared_;   // where all data ranks are on one host
  std::vector<Tensor> sums_;            // views of its sums
  std::vector<bool> owned_;             // gradients_[i] is memory of ours, not backward's
  std::vector<bool> present_;           // a gradient arrived in this step
  std::vector<bool> complete_;          // that of the last micro-batch arrived
  std::unordered_map<const Node*, std::size_t> index_of_;
  bool begun_ = false;           // in this step gradients_ may be written
  std::size_t handed_over_ = 0;  // buckets given to the reducer in this step
  Communicator* data_;
  std::unique_ptr<BackgroundReducer> reducer_;  // none with one data rank or without overlap
};

}  // namespace weft
