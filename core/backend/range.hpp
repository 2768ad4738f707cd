// Named stretches of time: for the timeline of a GPU profiler, and for Weft's own.
#pragma once

#include "core/backend/timeline.hpp"

namespace weft {

// Begins and ends a range of the calling thread (NVTX); ranges may be nested. Nothing without the
// CUDA backend, and next to nothing without a profiler.
void begin_range(const char* name);
void end_range();

// `name` has static lifetime.
class Range {
 public:
  explicit Range(const char* name)
      : name_(is_recording() ? name : nullptr), begin_(name_ != nullptr ? timeline::now() : 0) {
    begin_range(name);
  }
  ~Range() {
    end_range();
    if (name_ != nullptr) {
      timeline::add({.name = name_, .begin = begin_, .end = timeline::now()});
    }
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  const char* name_;  // null: began when nothing was recorded
  double begin_;
};

}  // namespace weft
