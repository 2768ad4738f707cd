// How a parameter's local part maps to the full tensor.
#include "core/nn/shard.hpp"

#include <algorithm>
#include <cassert>

namespace weft {

namespace {

std::int64_t local_size(std::int64_t size, [[maybe_unused]] const Shard& shard, int ranks) {
  assert(shard.segments == 1 || size % (std::int64_t{shard.segments} * ranks) == 0);
  return (size + ranks - 1) / ranks;
}

}  // namespace

Shape shard_shape(const Shape& full, const Shard& shard, int ranks) {
  if (shard.dim < 0) return full;
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  std::copy(full.dims().begin(), full.dims().end(), dims.begin());
  auto& cut = dims[static_cast<std::size_t>(shard.dim)];
  cut = local_size(cut, shard, ranks);
  return Shape(std::span<const std::int64_t>(dims.data(), full.dims().size()));
}

std::vector<ShardRun> shard_runs(const Shape& full, const Shard& shard, const TensorRank& at) {
  if (shard.dim < 0) return {{0, 0, full.numel()}};
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  for (int i = 0; i < shard.dim; ++i) outer *= full[i];
  for (int i = shard.dim + 1; i < full.rank(); ++i) inner *= full[i];

  const std::int64_t size = full[shard.dim];
  const std::int64_t local = local_size(size, shard, at.ranks);
  const std::int64_t segment = size / shard.segments;  // of the full dim
  const std::int64_t piece = local / shard.segments;   // of the local dim
  const std::int64_t first = std::min(at.rank * piece, segment);
  const std::int64_t count = std::min(piece, segment - first);
  std::vector<ShardRun> runs;
  for (std::int64_t o = 0; o < outer && count > 0; ++o) {
    for (std::int64_t s = 0; s < shard.segments; ++s) {
      runs.push_back({.local = (o * local + s * piece) * inner,
                      .full = (o * size + s * segment + first) * inner,
                      .count = count * inner});
    }
  }
  return runs;
}

}  // namespace weft
