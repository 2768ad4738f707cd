// How far ranks are that share a piece of memory.
#include "parallel/shared_progress.hpp"

#include <atomic>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "core/base/error.hpp"

namespace weft {

struct alignas(64) SharedProgress::Process {
  std::atomic<std::int64_t> id{0};
};

std::size_t SharedProgress::memory_for(int ranks, int stages) {
  return static_cast<std::size_t>(ranks) *
         (static_cast<std::size_t>(stages) * sizeof(SharedCounter) + sizeof(Process));
}

SharedProgress::SharedProgress(std::byte* memory, int rank, int ranks, int stages, std::string work)
    : memory_(memory),
      rank_(rank),
      ranks_(ranks),
      stages_(stages),
      spins_(spins_among(ranks)),
      work_(std::move(work)) {
  process(rank_).id = getpid();
}

SharedCounter& SharedProgress::counter(int rank, int stage) const {
  return reinterpret_cast<SharedCounter*>(memory_)[rank * stages_ + stage];
}

SharedProgress::Process& SharedProgress::process(int rank) const {
  return reinterpret_cast<Process*>(&counter(ranks_, 0))[rank];
}

void SharedProgress::reach(int stage, std::uint32_t value) const {
  counter(rank_, stage).set(value);
}

void SharedProgress::wait_for(int stage, std::uint32_t value, int others) const {
  for (int r = 0; r < others; ++r) {
    if (r == rank_) continue;
    const std::atomic<std::int64_t>& id = process(r).id;
    if (wait_for_process(counter(r, stage), value, spins_, id)) continue;
    throw Error(fmt::format("{} on rank {} of {} of a host: process {} of rank {} has ended", work_,
                            rank_, ranks_, id.load(), r));
  }
}

}  // namespace weft
