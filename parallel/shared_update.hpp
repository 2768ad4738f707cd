// An optimizer's update shared out among the data ranks of one host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/optim/update_sharing.hpp"
#include "parallel/communicator.hpp"
#include "parallel/flat_layout.hpp"
#include "parallel/shared_progress.hpp"

namespace weft {

// Parameters, and what an optimizer keeps of them, in memory that the ranks have mapped. Each rank
// writes the part that it also adds in a SharedSum, and each byte counts as memory of one rank: of
// the one that writes it.
class SharedUpdate final : public UpdateSharing {
 public:
  // Moves the parameters' tensors, whose values are the same on all ranks, to common memory; all
  // who hold them see it. Null, and nothing moved, for one rank alone, on GPUs, and when the ranks
  // do not all share memory, or not so much. Collective over `data`, which outlives it.
  static std::shared_ptr<UpdateSharing> connect(const std::vector<NamedParameter>& parameters,
                                                Communicator& data);

  SharedUpdate(const std::vector<NamedParameter>& parameters, Communicator& data, FlatLayout layout,
               std::shared_ptr<SharedMemory> memory);

  std::vector<Tensor> common_tensors() override;  // three times at most
  Part part(std::size_t parameter) const override { return layout_.within(part_, parameter); }
  void meet() override;
  void sum(Tensor& x) override { data_->all_reduce(x, ReduceOp::sum); }

 private:
  void move(const std::vector<NamedParameter>& parameters);
  std::byte* next_array();

  Communicator* data_;
  FlatLayout layout_;
  Part part_;                             // of all elements
  std::shared_ptr<SharedMemory> memory_;  // the arrays, and behind them the meetings
  int arrays_ = 0;                        // that are in use
  SharedProgress meetings_;
  std::uint32_t met_ = 0;
};

}  // namespace weft
