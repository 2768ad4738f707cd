// All-reduce among the processes that share a piece of memory, through buffers in it.
#include "parallel/staged_reduction.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "parallel/combine.hpp"
#include "parallel/shared_counter.hpp"

namespace weft {

namespace {

// Of each rank's buffers. Three stages are under way at once; one more lets ranks be out of step.
constexpr std::uint32_t kChunks = 4;
constexpr std::int64_t kLag = 1;  // chunks between a stage and the next
constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

std::size_t buffers_bytes(const StagedReductionOptions& o) {
  return round_up(kChunks * o.chunk_bytes, kHugePage);
}

}  // namespace

// How far a rank is: each counter is the number of chunks that have been through the stage.
struct StagedReduction::Progress {
  SharedCounter offered, added, collected;
  std::atomic<std::int64_t> process{0};
};

std::size_t StagedReduction::memory_for(const StagedReductionOptions& o) {
  const auto ranks = static_cast<std::size_t>(o.ranks);
  return ranks * buffers_bytes(o) + round_up(ranks * sizeof(Progress), kHugePage);
}

StagedReduction::StagedReduction(std::byte* memory, StagedReductionOptions options)
    : memory_(memory), options_(std::move(options)) {
  if (options_.owners == 0) options_.owners = options_.ranks;
  progress(options_.rank).process = getpid();
  spins_ = spins_among(options_.ranks);
}

// Behind all buffers, so that these begin with huge pages.
StagedReduction::Progress& StagedReduction::progress(int rank) const {
  std::byte* all = memory_ + static_cast<std::size_t>(options_.ranks) * buffers_bytes(options_);
  return reinterpret_cast<Progress*>(all)[rank];
}

std::byte* StagedReduction::buffer(int rank, std::uint32_t chunk) const {
  return memory_ + static_cast<std::size_t>(rank) * buffers_bytes(options_) +
         chunk % kChunks * options_.chunk_bytes;
}

template <class T>
struct StagedReduction::Pass {
  struct Range {
    std::int64_t first = 0, count = 0;
  };

  const StagedReduction& all;
  T* x;
  std::int64_t n;
  ReduceOp op;
  std::uint32_t base;  // number of the first chunk
  std::vector<const T*> sources = std::vector<const T*>(static_cast<std::size_t>(ranks()));
  Tensor wide = {};  // of a part, for what is added outside

  int rank() const { return all.options_.rank; }
  int ranks() const { return all.options_.ranks; }
  int owners() const { return all.options_.owners; }
  std::int64_t length() const {
    return static_cast<std::int64_t>(all.options_.chunk_bytes / sizeof(T));
  }
  std::int64_t chunks() const { return (n + length() - 1) / length(); }
  std::uint32_t number(std::int64_t chunk) const {
    return base + static_cast<std::uint32_t>(chunk);
  }
  T* elements(std::int64_t chunk) const { return x + chunk * length(); }
  T* buffer(int of, std::int64_t chunk) const {
    return reinterpret_cast<T*>(all.buffer(of, number(chunk)));
  }

  // The owner's part of a chunk; parts begin with cache lines of the buffer.
  Range part(int owner, std::int64_t chunk) const {
    constexpr std::int64_t kLine = 64 / sizeof(T);
    const std::int64_t count = std::min(length(), n - chunk * length());
    const std::int64_t lines = (count + kLine - 1) / kLine;
    const std::int64_t first = std::min(count, lines * owner / owners() * kLine);
    const std::int64_t last = std::min(count, lines * (owner + 1) / owners() * kLine);
    return {.first = first, .count = last - first};
  }

  void wait_for(SharedCounter Progress::*stage, int first_ranks, std::uint32_t value) const {
    for (int r = 0; r < first_ranks; ++r) {
      if (r == rank()) continue;
      Progress& other = all.progress(r);
      if (wait_for_process(other.*stage, value, all.spins_, other.process)) continue;
      throw Error(
          fmt::format("all_reduce on rank {} of {} of a host: process {} of rank {} has ended",
                      rank(), ranks(), other.process.load(), r));
    }
  }

  void offer(std::int64_t chunk) const {
    wait_for(&Progress::collected, ranks(), number(chunk) - (kChunks - 1));
    for (int owner = 0; owner < owners(); ++owner) {
      if (owner != rank()) copy(buffer(rank(), chunk), elements(chunk), part(owner, chunk));
    }
    all.progress(rank()).offered.set(number(chunk) + 1);
  }

  void add(std::int64_t chunk) {
    if (rank() >= owners()) return;
    wait_for(&Progress::offered, ranks(), number(chunk) + 1);
    const Range own = part(rank(), chunk);
    for (int r = 0; r < ranks(); ++r) {
      const T* theirs = r == rank() ? elements(chunk) : buffer(r, chunk);
      sources[static_cast<std::size_t>(r)] = theirs + own.first;
    }
    T* result = elements(chunk) + own.first;
    T* copy = buffer(rank(), chunk) + own.first;
    if (!all.options_.reduce_outside) {
      combine<T, T>(result, copy, sources, own.count, op);
    } else if (own.count > 0) {
      Tensor here = wide.narrow(0, own.count);
      auto* values = here.data<Wide<T>>();
      combine<Wide<T>, T>(values, values, sources, own.count, op);
      all.options_.reduce_outside(here, op);
      const Wide<T>* reduced[] = {values};
      combine<T, Wide<T>>(result, copy, reduced, own.count, op);
    }
    all.progress(rank()).added.set(number(chunk) + 1);
  }

  void collect(std::int64_t chunk) const {
    wait_for(&Progress::added, owners(), number(chunk) + 1);
    for (int owner = 0; owner < owners(); ++owner) {
      if (owner != rank()) copy(elements(chunk), buffer(owner, chunk), part(owner, chunk));
    }
    all.progress(rank()).collected.set(number(chunk) + 1);
  }

  static void copy(T* to, const T* from, Range range) {
    std::memcpy(to + range.first, from + range.first,
                static_cast<std::size_t>(range.count) * sizeof(T));
  }
};

template <class T>
void StagedReduction::run(T* x, std::int64_t n, ReduceOp op) {
  Pass<T> pass{.all = *this, .x = x, .n = n, .op = op, .base = next_};
  if (options_.reduce_outside && options_.rank < options_.owners && n > 0) {
    pass.wide = Tensor({std::min(n, pass.length())}, dtype_of<Wide<T>>::value);
  }
  const std::int64_t chunks = pass.chunks();
  for (std::int64_t i = 0; i < chunks + 2 * kLag; ++i) {
    if (i < chunks) pass.offer(i);
    if (i >= kLag && i < chunks + kLag) pass.add(i - kLag);
    if (i >= 2 * kLag) pass.collect(i - 2 * kLag);
  }
  next_ = pass.number(chunks);
}

void StagedReduction::all_reduce(Tensor& x, ReduceOp op) {
  with_reduced_type(x.dtype(), [&]<class T>(T) { run(static_cast<T*>(x.raw()), x.numel(), op); });
}

}  // namespace weft
