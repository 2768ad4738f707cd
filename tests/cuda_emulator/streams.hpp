// Streams are queues whose work runs as late as CUDA's rules allow: when the host waits for it, or
// when other work that waits for an event behind it must run.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/cuda_emulator/runtime_api.hpp"

namespace cuda_emulator {

struct Capture;

// One recording of an event.
struct Recording {
  CUstream_st* stream = nullptr;
  Capture* capture = nullptr;  // recorded while capturing
  bool done = false;
  std::chrono::steady_clock::time_point time;
};

// A piece of work; or, without work, the place of an event.
struct Item {
  std::string name;
  std::function<void()> work;
  std::shared_ptr<Recording> records, waits_for;
  std::function<bool()> ready;  // whether the work can begin; empty: always
  bool note = false;            // no work of a device: it takes no time, and nobody waits for it
  bool waits = false;           // for other processes, while it runs: no work for a mere query
};

struct CapturedItem {
  CUstream_st* stream;
  Item item;
};

// What a stream and those that join it record into a graph.
struct Capture {
  unsigned long long id = 0;
  CUstream_st* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool invalid = false;
  std::vector<CapturedItem> items;
  std::set<const void*> lent;  // blocks of an allocator that tensors were given meanwhile
};

// Every stream of the process, behind one lock.
class Streams {
 public:
  static Streams& instance();

  std::mutex mutex;
  // Runs work of `stream` until `recording` is done; the lock is released while work runs.
  void run_until(CUstream_st& stream, const Recording& recording,
                 std::unique_lock<std::mutex>& lock);
  // All that the stream holds now.
  void run_ready(CUstream_st& stream,
                 std::unique_lock<std::mutex>& lock);  // what can begin at once
  void run_all(CUstream_st& stream, std::unique_lock<std::mutex>& lock);
  // One piece of work, if there is any: what an unfinished query leaves time for.
  void run_one(CUstream_st& stream, std::unique_lock<std::mutex>& lock);

  // The stream of a handle; null, with explanation, if there is none such.
  CUstream_st* find(cudaStream_t handle);
  CUstream_st* legacy(int device);
  void append(CUstream_st& stream, Item item, std::unique_lock<std::mutex>& lock);

  std::set<CUstream_st*> all;      // created, not destroyed
  std::vector<Capture*> captures;  // under way
  unsigned long long captures_begun = 0;

 private:
  void run_front(CUstream_st& stream, std::unique_lock<std::mutex>& lock);
  bool is_ready(CUstream_st& stream, std::unique_lock<std::mutex>& lock);

  std::vector<CUstream_st*> legacy_;
  std::condition_variable changed_;
};

// What the calling thread allows itself while a stream captures.
extern thread_local cudaStreamCaptureMode thread_capture_mode;

}  // namespace cuda_emulator

struct CUstream_st {
  int device = 0;
  bool blocking = true;  // ordered with the legacy stream
  bool legacy = false;
  int priority = 0;
  bool busy = false;  // an OS thread runs its front
  std::deque<cuda_emulator::Item> items;
  cuda_emulator::Capture* capture = nullptr;
};

struct CUevent_st {
  unsigned flags = 0;
  std::shared_ptr<cuda_emulator::Recording> recording;
};
