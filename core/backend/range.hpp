// Named stretches of time for the timeline of a GPU profiler.
#pragma once

namespace weft {

// Begins and ends a range of the calling thread (NVTX); ranges may be nested. Nothing without the
// CUDA backend, and next to nothing without a profiler.
void begin_range(const char* name);
void end_range();

class Range {
 public:
  explicit Range(const char* name) { begin_range(name); }
  ~Range() { end_range(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

}  // namespace weft
