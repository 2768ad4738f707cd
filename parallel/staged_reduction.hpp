// All-reduce among the processes that share a piece of memory, through buffers in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "core/tensor/tensor.hpp"
#include "parallel/communicator.hpp"
#include "parallel/shared_progress.hpp"

namespace weft {

struct StagedReductionOptions {
  int rank = 0;    // of this process
  int ranks = 1;   // that share the memory
  int owners = 0;  // the ranks from 0 on that add; 0: all
  // Takes what this owner has added, f32, f64 or i32, and reduces it with what others have who do
  // not share the memory.
  std::function<void(Tensor&, ReduceOp)> reduce_outside = {};
  std::size_t chunk_bytes = std::size_t{256} << 10;
};

// A tensor goes in chunks, and each owner has a part of every chunk. A rank
//
//   offers    copies the parts of the others into its buffer,
//   adds      its own part and what the others offer of it, and puts the sum into its buffer, too,
//   collects  the parts that the others have added.
//
// Each rank is a chunk ahead with the stage before, so that it seldom waits, and the tensor itself
// is read once and written once: the rest stays in the caches, which the size of the chunks is
// for. Elements are added in rank order by one rank alone, so all get the same bits, however the
// tensor is cut.
class StagedReduction {
 public:
  // The bytes that it needs, zeros at first.
  static std::size_t memory_for(const StagedReductionOptions& options);

  // `memory` outlives this object.
  StagedReduction(std::byte* memory, StagedReductionOptions options);

  // In place, as Communicator::all_reduce() of a host tensor. All ranks make the same calls in the
  // same order. Throws Error when the process of another rank has ended.
  void all_reduce(Tensor& x, ReduceOp op);

 private:
  template <class T>
  struct Pass;  // of one tensor

  std::byte* buffer(int rank, std::uint32_t chunk) const;
  template <class T>
  void run(T* x, std::int64_t n, ReduceOp op);

  std::byte* memory_;
  StagedReductionOptions options_;
  SharedProgress progress_;
  std::uint32_t next_ = 0;  // number of the next chunk, over all tensors
};

}  // namespace weft
