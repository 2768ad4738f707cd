// The sum of an array of each rank, formed in memory that all ranks have mapped.
#include "parallel/shared_sum.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::int64_t kLine = 16;  // elements of a cache line
// More than two arrays are added piece by piece, so that the sum stays in the cache meanwhile.
constexpr std::int64_t kPiece = std::int64_t{1} << 18;

std::size_t array_bytes(std::int64_t elements) {
  const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(float);
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

}  // namespace

// How many rounds a rank has been through.
struct SharedSum::Progress {
  SharedCounter ended, brought, added;
  std::atomic<std::int64_t> process{0};
};

std::size_t SharedSum::memory_for(int ranks, std::int64_t elements) {
  return static_cast<std::size_t>(ranks) * (array_bytes(elements) + sizeof(Progress));
}

std::unique_ptr<SharedSum> SharedSum::connect(Communicator& group, std::int64_t elements) {
  std::shared_ptr<SharedMemory> memory = group.common_memory(memory_for(group.size(), elements));
  if (!memory) return nullptr;
  return std::make_unique<SharedSum>(std::move(memory), group.rank(), group.size(), elements);
}

SharedSum::SharedSum(std::shared_ptr<SharedMemory> memory, int rank, int ranks,
                     std::int64_t elements)
    : memory_(std::move(memory)),
      rank_(rank),
      ranks_(ranks),
      spins_(spins_among(ranks)),
      elements_(elements) {
  for (int r = 0; r < ranks_; ++r) {
    std::byte* first = memory_->data() + static_cast<std::size_t>(r) * array_bytes(elements_);
    arrays_.emplace_back(std::shared_ptr<void>(memory_, first), Shape{elements_}, DType::f32);
  }
  const MemoryScope scope(MemoryUse::gradients);
  allocator(Device{}).adopt(own().raw(), own().bytes());
  progress(rank_).process = getpid();
}

SharedSum::~SharedSum() { allocator(Device{}).disown(own().raw(), own().bytes()); }

// Behind all arrays, so that these begin with huge pages.
SharedSum::Progress& SharedSum::progress(int rank) const {
  std::byte* all = memory_->data() + static_cast<std::size_t>(ranks_) * array_bytes(elements_);
  return reinterpret_cast<Progress*>(all)[rank];
}

void SharedSum::wait_for(SharedCounter Progress::*stage) const {
  for (int r = 0; r < ranks_; ++r) {
    Progress& other = progress(r);
    if (wait_for_process(other.*stage, round_, spins_, other.process)) continue;
    throw Error(fmt::format("sum of gradients on rank {} of {}: process {} of rank {} has ended",
                            rank_, ranks_, other.process.load(), r));
  }
}

// Parts begin with cache lines.
SharedSum::Part SharedSum::part() const {
  const std::int64_t lines = (elements_ + kLine - 1) / kLine;
  return {.first = std::min(elements_, lines * rank_ / ranks_ * kLine),
          .last = std::min(elements_, lines * (rank_ + 1) / ranks_ * kLine)};
}

void SharedSum::end() const { progress(rank_).ended.set(round_); }

// Other arrays are read within add() alone.
void SharedSum::begin() const {
  if (rank_ == 0) wait_for(&Progress::ended);
}

void SharedSum::add() {
  progress(rank_).brought.set(round_);
  wait_for(&Progress::brought);
  const auto [first, last] = part();
  const std::int64_t piece = ranks_ > 2 ? kPiece : std::max(last - first, std::int64_t{1});
  for (std::int64_t i = first; i < last; i += piece) {
    const std::int64_t n = std::min(piece, last - i);
    Tensor sum = sums().narrow(i, n);
    for (int r = 1; r < ranks_; ++r) {
      backend(sum).add(sum, sum, arrays_[static_cast<std::size_t>(r)].narrow(i, n));
    }
  }
  progress(rank_).added.set(round_);
  wait_for(&Progress::added);
  ++round_;
}

}  // namespace weft
