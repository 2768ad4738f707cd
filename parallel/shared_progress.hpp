// How far ranks are that share a piece of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "parallel/shared_counter.hpp"

namespace weft {

// A rank tells how far it is with a stage of what the ranks do together, by a number that grows,
// and waits until others are as far with one.
class SharedProgress {
 public:
  static std::size_t memory_for(int ranks, int stages);
  // `memory`, of zeros at first, outlives this object; `work` is for messages: "sum of gradients".
  SharedProgress(std::byte* memory, int rank, int ranks, int stages, std::string work);

  void reach(int stage, std::uint32_t value) const;
  // The first `others` ranks, or all. Throws Error when the process of one has ended before.
  void wait_for(int stage, std::uint32_t value, int others) const;
  void wait_for_all(int stage, std::uint32_t value) const { wait_for(stage, value, ranks_); }

 private:
  struct Process;
  SharedCounter& counter(int rank, int stage) const;
  Process& process(int rank) const;

  std::byte* memory_;
  int rank_, ranks_, stages_, spins_;
  std::string work_;
};

}  // namespace weft
