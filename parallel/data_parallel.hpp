// Data parallelism: what backward hands over, collected and summed over the data axis.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/autograd/backward.hpp"
#include "core/nn/module.hpp"
#include "parallel/gradient_sums.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// The f32 gradients of all parameters, on their device, summed over the data ranks. A step is
//
//   buckets.zero();
//   for each micro-batch: backward(loss, {}, buckets.hook(last));   // one backward() for each
//   buckets.finish();
//   use buckets.gradients()
//
// Where all data ranks compute on the CPUs of one host they are added up in memory that these
// share, elsewhere in flat buckets. Either way backward writes each gradient to its place. With one
// data rank nothing is copied or sent: the gradients are the tensors that backward made.
//
// Sums do not depend on `overlap`: buckets are reduced in one order, the same on every rank.
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

  // For backward(); of the last micro-batch, gradients are on their way to the others as soon as
  // they arrive. Valid as long as this object. The hook throws Error for a leaf that is none of the
  // parameters, and for a second gradient of one in the last micro-batch.
  LeafHook hook(bool last_micro_batch);

  // All are summed over the data axis: on the host when this returns, on a GPU for the work issued
  // from now on. Parameters that got no gradient count as zero. Rethrows an error of the
  // background reducer.
  void finish();

  // One f32 tensor per parameter, of its local shape, in the order given; from finish() to zero(),
  // to be read only.
  const std::vector<Tensor>& gradients() const { return sums_ ? sums_->sums() : gradients_; }
  // The sum of squares of each, f64 [n] on the device, where the ranks of one host share the work.
  // Collective over mesh.data().
  Tensor squared_norms() const;
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

 private:
  void begin();
  void offer_places();
  void arrived(std::size_t parameter, const Tensor& grad, bool last_micro_batch);
  void keep(std::size_t parameter, const Tensor& grad);
  Tensor& own(std::size_t parameter);

  std::vector<NamedParameter> parameters_;
  std::unique_ptr<GradientSums> sums_;  // none with one data rank
  std::vector<Tensor> gradients_;       // of this rank, at their places if there are sums
  std::vector<bool> owned_;             // gradients_[i] is memory of ours, not backward's
  std::vector<bool> present_;           // a gradient arrived in this step
  std::vector<bool> complete_;          // that of the last micro-batch arrived
  std::unordered_map<const Node*, std::size_t> index_of_;
  bool begun_ = false;  // in this step gradients_ may be written
};

}  // namespace weft
