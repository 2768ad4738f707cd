// One block of a grid, run by one OS thread: its threads take turns, each until it must wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include "tests/cuda_emulator/device_functions.hpp"
#include "tests/cuda_emulator/fibre.hpp"
#include "tests/cuda_emulator/launch.hpp"
#include "tests/cuda_emulator/types.hpp"

namespace cuda_emulator {

constexpr unsigned kWarp = 32;
constexpr unsigned kMaxThreads = 1024;

// A launch that is running.
struct Grid {
  std::string kernel;  // its name, without template arguments
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
  std::size_t shared_limit = 0;  // static and dynamic together
  const KernelCall* call = nullptr;
  int device = 0;
  std::uint32_t first_serial = 0;  // of block 0; every block of the process has its own number
  bool fenced = false;             // a thread has called __threadfence()
};

class BlockRunner;

struct Thread {
  enum class State : std::uint8_t { fresh, runnable, at_block_barrier, at_warp_primitive, done };

  BlockRunner* block = nullptr;
  uint3 index;
  unsigned linear = 0;
  State state = State::fresh;
  Fibre* fibre = nullptr;
  // Where and for what it waits; the instruction after the call.
  Site site;
  const void* caller = nullptr;
  WarpPrimitive primitive = WarpPrimitive::barrier;
  unsigned mask = 0;
  unsigned from = 0;
  std::uint64_t value = 0;   // what it brings
  std::uint64_t result = 0;  // what it is given
  // When it runs, for the order of memory accesses: barriers of the block and of the warp so far.
  std::uint32_t block_epoch = 0;
  std::uint32_t warp_epoch = 0;

  unsigned lane() const { return linear % kWarp; }
  unsigned warp() const { return linear / kWarp; }
};

class BlockRunner {
 public:
  BlockRunner() : threads_(kMaxThreads) {}

  // Blocks of one grid follow each other.
  void begin(Grid& grid);
  void run(std::uint32_t block);  // or throws a DeviceFault
  // From a thread that is at fault: it stays where it is for ever, and run() throws.
  [[noreturn]] void abandon(const Thread& thread, const std::string& why);
  // After a DeviceFault: forgets the threads that were on their way.
  void forget();

  Grid& grid() const { return *grid_; }
  uint3 index() const { return index_; }
  std::uint32_t serial() const { return serial_; }
  std::byte* dynamic_shared() const { return shared_.get(); }
  // Distinct bytes of static shared memory touched so far; the race check counts them.
  std::size_t static_shared_bytes = 0;

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };

  void run_in_order();
  void run_at_random();
  bool step(unsigned warp, bool backwards);
  void resume(Thread& t);
  bool release_warp(unsigned warp);
  bool release_group(const Thread& asks);
  bool release_block();
  [[noreturn]] void fail_stuck() const;
  void note_barrier(const Site& site, const char* kind);

  Grid* grid_ = nullptr;
  std::vector<Thread> threads_;
  unsigned count_ = 0;  // threads in a block of this grid
  uint3 index_;
  std::uint32_t serial_ = 0;
  std::unique_ptr<std::byte, Free> shared_;
  std::vector<std::unique_ptr<Fibre>> fibres_;
  std::vector<Fibre*> idle_;
  std::string fault_;        // why a thread was abandoned
  std::vector<Site> noted_;  // barriers already told to the report
};

// The thread of a kernel that this OS thread is running; null in host code.
extern thread_local Thread* current_thread;

// Runs every block, on as many OS threads as OpenMP gives; throws the first DeviceFault.
void run_grid(Grid& grid);

std::string str(const uint3& index);
// Where the thread waits, and the calls that led there.
std::string place_of(const Thread& thread);

}  // namespace cuda_emulator
