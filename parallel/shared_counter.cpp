// A number that grows and that processes wait for. std::atomic::wait() would do for the threads of
// one process: the standard library has the kernel look for sleepers in the same process only.
#include "parallel/shared_counter.hpp"

#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <thread>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace weft {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSpins = 300;
constexpr std::chrono::milliseconds kLookAfterOthers{1000};

void relax() {
#ifdef __x86_64__
  _mm_pause();
#endif
}

// Until woken, or the word is no longer `seen`, or it is `end`.
void sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t seen, Clock::time_point end) {
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(end - Clock::now());
  if (left.count() <= 0) return;
  const timespec time{.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000),
                      .tv_nsec = static_cast<long>(left.count() % 1'000'000'000)};
  syscall(SYS_futex, &word, FUTEX_WAIT, seen, &time, nullptr, 0);
}

void wake_all(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

// Either this sees the sleeper, or the sleeper sees the new value: both write first and read then,
// in one order for all.
void SharedCounter::set(std::uint32_t value) {
  value_.store(value, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0) wake_all(value_);
}

bool SharedCounter::wait(std::uint32_t value, int spins, std::chrono::milliseconds time) {
  if (reached(value)) return true;
  for (int i = 0; i < spins; ++i) {
    relax();
    if (reached(value)) return true;
  }
  const Clock::time_point end = Clock::now() + time;
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (true) {
    const std::uint32_t seen = value_.load(std::memory_order_seq_cst);
    if (static_cast<std::int32_t>(seen - value) >= 0 || Clock::now() >= end) break;
    sleep_on(value_, seen, end);
  }
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  return reached(value);
}

bool wait_for_process(SharedCounter& counter, std::uint32_t value, int spins,
                      const std::atomic<std::int64_t>& process) {
  bool ended = false;
  while (!counter.wait(value, spins, kLookAfterOthers)) {
    if (ended) return false;
    // One more look: its last word may have come just before.
    const auto id = static_cast<pid_t>(process.load());
    ended = id != 0 && kill(id, 0) != 0 && errno == ESRCH;
  }
  return true;
}

int spins_among(int ranks) {
  return static_cast<unsigned>(ranks) > std::thread::hardware_concurrency() ? 0 : kSpins;
}

}  // namespace weft
