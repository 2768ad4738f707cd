// Gradients added up in memory that the ranks of a host share: all at once, behind backward.
#include <utility>

#include "core/backend/transfer.hpp"
#include "parallel/flat_layout.hpp"
#include "parallel/gradient_sums.hpp"
#include "parallel/shared_sum.hpp"

namespace weft {

namespace {

class SharedGradients final : public GradientSums {
 public:
  SharedGradients(FlatLayout layout, std::unique_ptr<SharedSum> shared, Communicator& data)
      : layout_(std::move(layout)),
        shared_(std::move(shared)),
        data_(&data),
        places_(layout_.views(shared_->own())),
        sums_(layout_.views(shared_->sums())) {}

  const std::vector<Tensor>& places() const override { return places_; }
  // The others must have read the last sums: they have during the forward pass.
  void begin() override { shared_->begin(); }
  void complete(std::size_t) override {}
  void finish() override { shared_->add(); }
  const std::vector<Tensor>& sums() const override { return sums_; }
  Tensor squared_norms() const override;
  void end() override { shared_->end(); }

 private:
  FlatLayout layout_;
  std::unique_ptr<SharedSum> shared_;
  Communicator* data_;
  std::vector<Tensor> places_, sums_;
};

// Each rank squares the part that it added: sums of parts are added in rank order, so all ranks get
// the same bits.
Tensor SharedGradients::squared_norms() const {
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    const Part part = layout_.within(shared_->part(), i);
    parts.push_back(sums_[i].slice_flat(part.first, {part.count()}));
  }
  Tensor squares = squared_norms_on_device(parts);
  if (squares) data_->all_reduce(squares, ReduceOp::sum);
  return squares;
}

}  // namespace

std::unique_ptr<GradientSums> shared_gradients(const std::vector<NamedParameter>& parameters,
                                               Communicator& data) {
  FlatLayout layout(parameters);
  std::unique_ptr<SharedSum> shared = SharedSum::connect(data, layout.elements());
  if (!shared) return nullptr;
  return std::make_unique<SharedGradients>(std::move(layout), std::move(shared), data);
}

}  // namespace weft
