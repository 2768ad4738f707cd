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

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace weft
