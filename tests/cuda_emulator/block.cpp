// The scheduler of a block: warp after warp, each as far as it gets; barriers and warp primitives
// open when all that must come have come, and every other outcome is an error.
#include "tests/cuda_emulator/block.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/report.hpp"
#include "tests/cuda_emulator/settings.hpp"

namespace cuda_emulator {

thread_local Thread* current_thread = nullptr;

namespace {

bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

void run_thread(void* argument) {
  auto& t = *static_cast<Thread*>(argument);
  (*t.block->grid().call)();
}

}  // namespace

std::string str(const uint3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," +
         std::to_string(index.z) + ")";
}

std::string place_of(const Thread& thread) { return source_line(thread.caller); }

void BlockRunner::begin(Grid& grid) {
  grid_ = &grid;
  noted_.clear();
  count_ = grid.block.x * grid.block.y * grid.block.z;
  // Of the exact size, so that the address sanitizer sees an index one too far.
  void* p = nullptr;
  if (grid.shared_bytes > 0 && posix_memalign(&p, 128, grid.shared_bytes) != 0)
    fail("no memory for dynamic shared memory");
  shared_.reset(static_cast<std::byte*>(p));
}

void BlockRunner::run(std::uint32_t block) {
  const dim3 &g = grid_->grid, &b = grid_->block;
  index_ = {block % g.x, block / g.x % g.y, block / g.x / g.y};
  serial_ = grid_->first_serial + block;
  static_shared_bytes = 0;
  if (shared_) std::memset(shared_.get(), 0xff, grid_->shared_bytes);
  uint3 at;
  for (unsigned i = 0; i < count_; ++i) {
    Thread& t = threads_[i];
    t.block = this;
    t.index = at;
    t.linear = i;
    t.state = Thread::State::fresh;
    t.fibre = nullptr;
    t.block_epoch = t.warp_epoch = 0;
    if (++at.x == b.x) {
      at.x = 0;
      if (++at.y == b.y) {
        at.y = 0;
        ++at.z;
      }
    }
  }
  if (settings().order == ThreadOrder::random)
    run_at_random();
  else
    run_in_order();
  if (grid_->shared_bytes + static_shared_bytes > grid_->shared_limit)
    fault("in " + grid_->kernel + ": it uses " + std::to_string(static_shared_bytes) +
          " bytes of static and " + std::to_string(grid_->shared_bytes) +
          " of dynamic shared memory, more than " + std::to_string(grid_->shared_limit));
}

void BlockRunner::abandon(const Thread& thread, const std::string& why) {
  fault_ = why;
  while (true) thread.fibre->yield();
}

void BlockRunner::forget() {
  fibres_.clear();
  idle_.clear();
}

void BlockRunner::run_in_order() {
  const bool backwards = settings().order == ThreadOrder::reverse;
  const unsigned warps = (count_ + kWarp - 1) / kWarp;
  do {
    for (unsigned i = 0; i < warps; ++i)
      while (step(backwards ? warps - 1 - i : i, backwards)) {
      }
  } while (release_block());
}

void BlockRunner::run_at_random() {
  std::minstd_rand random(serial_);
  std::vector<unsigned> ready;
  do {
    for (unsigned w = 0; w * kWarp < count_; ++w) ready.push_back(w);
    while (!ready.empty()) {
      const std::size_t i = random() % ready.size();
      if (step(ready[i], random() % 2 != 0)) continue;
      ready[i] = ready.back();
      ready.pop_back();
    }
  } while (release_block());
}

// Runs every thread of the warp that can; whether anything happened.
bool BlockRunner::step(unsigned warp, bool backwards) {
  const unsigned first = warp * kWarp, n = std::min(kWarp, count_ - first);
  bool progress = false, waiting = false;
  for (unsigned i = 0; i < n; ++i) {
    Thread& t = threads_[first + (backwards ? n - 1 - i : i)];
    if (t.state == Thread::State::fresh || t.state == Thread::State::runnable) {
      resume(t);
      progress = true;
    }
    waiting |= t.state == Thread::State::at_warp_primitive;
  }
  if (waiting) progress |= release_warp(warp);
  return progress;
}

void BlockRunner::resume(Thread& t) {
  current_thread = &t;
  bool done = false;
  if (t.state == Thread::State::fresh) {
    if (idle_.empty()) {
      fibres_.push_back(std::make_unique<Fibre>());
      idle_.push_back(fibres_.back().get());
    }
    t.fibre = idle_.back();
    idle_.pop_back();
    t.state = Thread::State::runnable;
    done = t.fibre->run(run_thread, &t);
  } else {
    done = t.fibre->resume();
  }
  current_thread = nullptr;
  if (!fault_.empty()) throw DeviceFault(std::exchange(fault_, {}));
  if (done) {
    t.state = Thread::State::done;
    idle_.push_back(t.fibre);
  }
}

bool BlockRunner::release_warp(unsigned warp) {
  const unsigned first = warp * kWarp, n = std::min(kWarp, count_ - first);
  bool progress = false;
  for (unsigned l = 0; l < n; ++l) {
    const Thread& t = threads_[first + l];
    if (t.state == Thread::State::at_warp_primitive) progress |= release_group(t);
  }
  return progress;
}

// Lets the lanes that `asks` names go on if all of them wait for one another.
bool BlockRunner::release_group(const Thread& asks) {
  Thread* lanes = &threads_[asks.warp() * kWarp];
  const unsigned mask = asks.mask;
  unsigned ballot = 0;
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) == 0) continue;
    Thread& t = lanes[l];
    if (t.state == Thread::State::done)
      fail_in_kernel(asks, "a warp primitive names lane " + std::to_string(l) +
                               ", which has left the kernel, at " + place_of(asks));
    if (t.state != Thread::State::at_warp_primitive || t.mask != mask) return false;
    ballot |= static_cast<unsigned>(t.value & 1) << l;
  }
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) == 0) continue;
    Thread& t = lanes[l];
    if (t.primitive != asks.primitive || !same(t.site, asks.site))
      fail_in_kernel(t, "lanes of one mask meet in different warp primitives: " + place_of(t) +
                            " and " + place_of(asks));
    if (t.primitive == WarpPrimitive::shuffle && (mask >> t.from & 1) == 0)
      fail_in_kernel(t, "a shuffle reads lane " + std::to_string(t.from) +
                            ", which its mask does not name, at " + place_of(t));
    t.result = t.primitive == WarpPrimitive::vote ? ballot : lanes[t.from].value;
  }
  if (asks.primitive == WarpPrimitive::barrier) note_barrier(asks.site, "__syncwarp");
  for (unsigned l = 0; l < kWarp; ++l) {
    if ((mask >> l & 1) == 0) continue;
    lanes[l].state = Thread::State::runnable;
    if (lanes[l].primitive == WarpPrimitive::barrier) ++lanes[l].warp_epoch;
  }
  return true;
}

// Opens the block's barrier when all have come to it; false when the block is done.
bool BlockRunner::release_block() {
  unsigned waiting = 0, done = 0;
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < count_; ++i) {
    waiting += threads_[i].state == Thread::State::at_block_barrier;
    done += threads_[i].state == Thread::State::done;
    sum += threads_[i].value;
  }
  if (done == count_) return false;
  if (waiting != count_) fail_stuck();
  for (unsigned i = 0; i < count_; ++i) {
    Thread& t = threads_[i];
    if (!same(t.site, threads_[0].site))
      fail_in_kernel(t, "threads wait at different barriers: " + place_of(t) +
                            " and, thread (0,0,0), " + place_of(threads_[0]));
    t.result = sum;
    t.state = Thread::State::runnable;
    ++t.block_epoch;
  }
  note_barrier(threads_[0].site, "__syncthreads");
  return true;
}

void BlockRunner::fail_stuck() const {
  const Thread *left = nullptr, *barrier = nullptr, *primitive = nullptr;
  for (unsigned i = 0; i < count_; ++i) {
    const Thread& t = threads_[i];
    if (t.state == Thread::State::done && left == nullptr) left = &t;
    if (t.state == Thread::State::at_block_barrier && barrier == nullptr) barrier = &t;
    if (t.state == Thread::State::at_warp_primitive && primitive == nullptr) primitive = &t;
  }
  const Thread& waits = primitive != nullptr ? *primitive : *barrier;
  std::string message = primitive != nullptr ? "waits for ever for the other lanes of its mask at "
                                             : "waits for ever at the barrier ";
  message += place_of(waits);
  if (left != nullptr) message += "; thread " + str(left->index) + " has left the kernel";
  if (primitive != nullptr && barrier != nullptr)
    message += "; thread " + str(barrier->index) + " waits at the barrier " + place_of(*barrier);
  fail_in_kernel(waits, message);
}

void BlockRunner::note_barrier(const Site& site, const char* kind) {
  if (settings().report.empty()) return;
  for (const Site& s : noted_)
    if (same(s, site)) return;
  noted_.push_back(site);
  report_barrier(site.file_name(), site.line(), kind, grid_->kernel);
}

void run_grid(Grid& grid) {
  const std::int64_t blocks = std::int64_t{grid.grid.x} * grid.grid.y * grid.grid.z;
  const bool backwards = settings().order == ThreadOrder::reverse;
  std::mutex mutex;
  std::optional<DeviceFault> first;
  std::atomic<bool> faulted = false;
#pragma omp parallel if (blocks > 1)
  {
    static thread_local BlockRunner runner;
    runner.begin(grid);
#pragma omp for schedule(dynamic)
    for (std::int64_t i = 0; i < blocks; ++i) {
      if (faulted) continue;
      try {
        runner.run(static_cast<std::uint32_t>(backwards ? blocks - 1 - i : i));
      } catch (const DeviceFault& fault) {
        runner.forget();
        const std::scoped_lock lock(mutex);
        if (!first) first = fault;
        faulted = true;
      }
    }
  }
  if (first) throw DeviceFault(*first);
}

}  // namespace cuda_emulator
