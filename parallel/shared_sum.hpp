// The sum of an array of each rank, formed in memory that all ranks have mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/part.hpp"
#include "core/tensor/caching_allocator.hpp"
#include "core/tensor/tensor.hpp"
#include "parallel/communicator.hpp"
#include "parallel/shared_progress.hpp"

namespace weft {

// Every rank fills its own array; then each adds its part of the elements, in rank order, with all
// its threads, and the sums lie in one place, where all ranks read them. Nothing is copied: memory
// is read once for each rank and written once. A round is
//
//   begin();   // own() may be written
//   add();     // sums() may be read
//   end();     // not any more
class SharedSum {
 public:
  // Of so many floats, zeros at first. Collective; null on all ranks when they do not all share
  // memory.
  static std::unique_ptr<SharedSum> connect(Communicator& group, std::int64_t elements);

  // Of one rank, in memory of so many bytes, zeros at first, that all ranks have mapped.
  static std::size_t memory_for(int ranks, std::int64_t elements);
  SharedSum(std::shared_ptr<SharedMemory> memory, int rank, int ranks, std::int64_t elements);

  const Tensor& own() const { return arrays_[static_cast<std::size_t>(rank_)]; }
  const Tensor& sums() const { return arrays_[0]; }

  // On the rank whose array holds the sums: waits until the others have ended the round before.
  void begin() const;
  // Waits for what the others bring, and for their parts of the sums. Throws Error when the process
  // of another rank has ended.
  void add();
  void end() const;

  // The elements that this rank adds, as FlatLayout cuts them.
  Part part() const;

 private:
  std::shared_ptr<SharedMemory> memory_;
  int rank_, ranks_;
  std::int64_t elements_;
  SharedProgress progress_;
  std::vector<Tensor> arrays_;  // of each rank
  std::optional<AdoptedMemory> own_counted_;
  std::uint32_t round_ = 1;
};

}  // namespace weft
