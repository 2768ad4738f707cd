// Times an all-reduce between the ranks of a communicator.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "core/backend/backend.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// The seconds of `runs` calls, fastest first, each that of the slowest rank. All ranks begin
// together, and get the same numbers.
inline std::vector<double> time_on_all_ranks(Communicator& group, int runs,
                                             const std::function<void()>& call) {
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) {
    group.barrier();
    const auto start = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double> own = std::chrono::steady_clock::now() - start;
    seconds.push_back(group.all_reduce(own.count(), ReduceOp::max));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

// The same of sums of an f32 host tensor of so many bytes, after one that is not counted.
inline std::vector<double> time_all_reduce(Communicator& group, std::int64_t bytes, int runs) {
  Tensor x({bytes / 4}, DType::f32);
  backend(x).fill(x, 0.0F);
  const auto call = [&] { group.all_reduce(x, ReduceOp::sum); };
  call();
  return time_on_all_ranks(group, runs, call);
}

}  // namespace weft
