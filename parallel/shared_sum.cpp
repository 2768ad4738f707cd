// The sum of an array of each rank, formed in memory that all ranks have mapped.
#include "parallel/shared_sum.hpp"

#include <algorithm>
#include <utility>

#include "core/backend/backend.hpp"
#include "parallel/flat_layout.hpp"

namespace weft {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
// More than two arrays are added piece by piece, so that the sum stays in the cache meanwhile.
constexpr std::int64_t kPiece = std::int64_t{1} << 18;

std::size_t array_bytes(std::int64_t elements) {
  const std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(float);
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

// Of how many rounds a rank has been through.
enum Stage { kEnded, kBrought, kAdded, kStages };

}  // namespace

// What the ranks tell each other is behind all arrays, so that these begin with huge pages.
std::size_t SharedSum::memory_for(int ranks, std::int64_t elements) {
  return static_cast<std::size_t>(ranks) * array_bytes(elements) +
         SharedProgress::memory_for(ranks, kStages);
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
      elements_(elements),
      progress_(memory_->data() + static_cast<std::size_t>(ranks) * array_bytes(elements), rank,
                ranks, kStages, "sum of gradients") {
  for (int r = 0; r < ranks_; ++r) {
    std::byte* first = memory_->data() + static_cast<std::size_t>(r) * array_bytes(elements_);
    arrays_.emplace_back(std::shared_ptr<void>(memory_, first), Shape{elements_}, DType::f32);
  }
  own_counted_.emplace(own().raw(), own().bytes(), MemoryUse::gradients);
}

Part SharedSum::part() const { return FlatLayout::part(elements_, rank_, ranks_); }

void SharedSum::end() const { progress_.reach(kEnded, round_); }

// Other arrays are read within add() alone.
void SharedSum::begin() const {
  if (rank_ == 0) progress_.wait_for_all(kEnded, round_);
}

void SharedSum::add() {
  progress_.reach(kBrought, round_);
  progress_.wait_for_all(kBrought, round_);
  const auto [first, last] = part();
  const std::int64_t piece = ranks_ > 2 ? kPiece : std::max(last - first, std::int64_t{1});
  for (std::int64_t i = first; i < last; i += piece) {
    const std::int64_t n = std::min(piece, last - i);
    Tensor sum = sums().narrow(i, n);
    for (int r = 1; r < ranks_; ++r) {
      backend(sum).add(sum, sum, arrays_[static_cast<std::size_t>(r)].narrow(i, n));
    }
  }
  progress_.reach(kAdded, round_);
  progress_.wait_for_all(kAdded, round_);
  ++round_;
}

}  // namespace weft
