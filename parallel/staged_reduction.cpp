// All-reduce among the processes that share a piece of memory, through buffers in it.
#include "parallel/staged_reduction.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/part.hpp"
#include "parallel/combine.hpp"

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

// What the ranks tell each other is behind all buffers, so that these begin with huge pages.
std::size_t all_buffers_bytes(const StagedReductionOptions& o) {
  return static_cast<std::size_t>(o.ranks) * buffers_bytes(o);
}

// Of how many chunks a rank has been through.
enum Stage { kOffered, kAdded, kCollected, kStages };

}  // namespace

std::size_t StagedReduction::memory_for(const StagedReductionOptions& o) {
  return all_buffers_bytes(o) + round_up(SharedProgress::memory_for(o.ranks, kStages), kHugePage);
}

StagedReduction::StagedReduction(std::byte* memory, StagedReductionOptions options)
    : memory_(memory),
      options_(std::move(options)),
      progress_(memory_ + all_buffers_bytes(options_), options_.rank, options_.ranks, kStages,
                "all_reduce") {
  if (options_.owners == 0) options_.owners = options_.ranks;
}

std::byte* StagedReduction::buffer(int rank, std::uint32_t chunk) const {
  return memory_ + static_cast<std::size_t>(rank) * buffers_bytes(options_) +
         chunk % kChunks * options_.chunk_bytes;
}

template <class T>
struct StagedReduction::Pass {
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
  Part part(int owner, std::int64_t chunk) const {
    return part_of(std::min(length(), n - chunk * length()), 64 / sizeof(T), owner, owners());
  }

  void offer(std::int64_t chunk) const {
    all.progress_.wait_for_all(kCollected, number(chunk) - (kChunks - 1));
    for (int owner = 0; owner < owners(); ++owner) {
      if (owner != rank()) copy(buffer(rank(), chunk), elements(chunk), part(owner, chunk));
    }
    all.progress_.reach(kOffered, number(chunk) + 1);
  }

  void add(std::int64_t chunk) {
    if (rank() >= owners()) return;
    all.progress_.wait_for_all(kOffered, number(chunk) + 1);
    const Part own = part(rank(), chunk);
    for (int r = 0; r < ranks(); ++r) {
      const T* theirs = r == rank() ? elements(chunk) : buffer(r, chunk);
      sources[static_cast<std::size_t>(r)] = theirs + own.first;
    }
    T* result = elements(chunk) + own.first;
    T* copy = buffer(rank(), chunk) + own.first;
    if (!all.options_.reduce_outside) {
      combine<T, T>(result, copy, sources, own.count(), op);
    } else if (own.count() > 0) {
      Tensor here = wide.narrow(0, own.count());
      auto* values = here.data<Wide<T>>();
      combine<Wide<T>, T>(values, values, sources, own.count(), op);
      all.options_.reduce_outside(here, op);
      const Wide<T>* reduced[] = {values};
      combine<T, Wide<T>>(result, copy, reduced, own.count(), op);
    }
    all.progress_.reach(kAdded, number(chunk) + 1);
  }

  void collect(std::int64_t chunk) const {
    all.progress_.wait_for(kAdded, number(chunk) + 1, owners());
    for (int owner = 0; owner < owners(); ++owner) {
      if (owner != rank()) copy(elements(chunk), buffer(owner, chunk), part(owner, chunk));
    }
    all.progress_.reach(kCollected, number(chunk) + 1);
  }

  static void copy(T* to, const T* from, const Part& part) {
    std::memcpy(to + part.first, from + part.first,
                static_cast<std::size_t>(part.count()) * sizeof(T));
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
