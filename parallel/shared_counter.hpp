// A number that grows and that processes wait for, in memory that they share.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace weft {

// Made of zeros. Values are compared across the overflow: what is waited for is less than 2^31
// away.
class alignas(64) SharedCounter {
 public:
  // By one process only. What it has written before is seen by those whose wait is over.
  void set(std::uint32_t value);
  // Until set() told `value` or more: looks `spins` times, then sleeps, and takes no processor from
  // whom it waits for. False if the time is over first.
  bool wait(std::uint32_t value, int spins, std::chrono::milliseconds time);

 private:
  bool reached(std::uint32_t value) const {
    return static_cast<std::int32_t>(value_.load(std::memory_order_acquire) - value) >= 0;
  }

  std::atomic<std::uint32_t> value_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

// Until another process has told `value` or more. False when that process has ended without: it is
// looked for every second. 0: a process that has not yet said which one it is.
bool wait_for_process(SharedCounter& counter, std::uint32_t value, int spins,
                      const std::atomic<std::int64_t>& process);

// Some microseconds for ranks that have a processor each: what another one needs that is at work. A
// rank whose processor is busy with something else takes longer, and is perhaps waiting for this
// one: with more ranks than processors nobody spins.
int spins_among(int ranks);

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace weft
