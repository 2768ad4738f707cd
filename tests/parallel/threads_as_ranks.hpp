// Threads in the place of the ranks of a host.
#pragma once

#include <functional>
#include <thread>
#include <vector>

namespace weft {

// Calls work(rank) on a thread for each rank.
inline void on_ranks(int ranks, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) threads.emplace_back(work, r);
  for (std::thread& t : threads) t.join();
}

}  // namespace weft
