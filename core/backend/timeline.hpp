// What each thread did when: ranges and the calls of backends, recorded while somebody asks for it.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "core/tensor/dtype.hpp"

namespace weft {

// Counted from the arguments of a call: what it has to compute, and what it has to move at least
// when nothing is in the caches.
struct Work {
  double flops = 0;  // multiply-adds times two
  double bytes = 0;  // read and written
};

struct Span {
  const char* name = "";      // with static lifetime
  double begin = 0, end = 0;  // seconds of the steady clock
  int thread = 0;             // of Timeline::threads
  // Of a kernel's call; a range has none of these.
  bool is_call = false;
  DType dtype = DType::f32;
  Work work = {};
  std::string size = {};  // of a product: "1024 x 768 x 3072"

  double seconds() const { return end - begin; }
};

// Spans of one thread lie within each other or apart, and stand in the order of their ends.
struct Timeline {
  std::vector<Span> spans;
  std::vector<std::string> threads;  // their names
};

// One recording of a process at a time. Off, all of this costs a look at a flag.
void start_recording();
Timeline stop_recording();

namespace timeline {

extern std::atomic<bool> recording;

double now();
// Of the calling thread; `span.thread` is filled in. Dropped when nothing is recorded any more.
void add(Span span);

}  // namespace timeline

inline bool is_recording() { return timeline::recording.load(std::memory_order_relaxed); }

// What the calling thread is called; "thread N" without. Lasting for as long as the program.
void name_thread(const char* name);

}  // namespace weft
