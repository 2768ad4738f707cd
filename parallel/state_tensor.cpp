// Which stretches of a stored tensor a rank holds.
#include "parallel/state_tensor.hpp"

#include <algorithm>

namespace weft {

std::vector<ShardRun> state_runs(const StateTensor& tensor, const TensorRank& at) {
  std::int64_t row = 1;
  for (int i = 1; i < tensor.full.rank(); ++i) row *= tensor.full[i];
  const std::int64_t begin = tensor.first * row;
  const std::int64_t end = begin + tensor.shape.numel();

  std::vector<ShardRun> runs;
  for (const ShardRun& run : shard_runs(tensor.full, tensor.shard, at)) {
    const std::int64_t from = std::max(run.full, begin);
    const std::int64_t to = std::min(run.full + run.count, end);
    if (from < to) {
      runs.push_back(
          {.local = run.local + (from - run.full), .full = from - begin, .count = to - from});
    }
  }
  return runs;
}

}  // namespace weft
