// Records some steps of a training run.
#pragma once

#include <cstdint>
#include <optional>

#include "core/backend/timeline.hpp"

namespace weft {

// The first steps of a start compile and pack: they are not recorded.
constexpr std::int64_t kUnprofiledSteps = 3;

class StepRecorder {
 public:
  // `steps` of a run that has done `done` of them.
  StepRecorder(std::int64_t done, std::int64_t steps)
      : first_(done + kUnprofiledSteps + 1), last_(first_ + steps - 1) {}
  // Stops a recording that did not come to its end.
  ~StepRecorder() {
    if (running_) stop_recording();
  }
  StepRecorder(const StepRecorder&) = delete;
  StepRecorder& operator=(const StepRecorder&) = delete;

  std::int64_t first() const { return first_; }  // step recorded, counted from 1

  void before(std::int64_t step) {
    if (step != first_) return;
    running_ = true;
    name_thread("training");
    start_recording();
  }
  // The timeline after the last of the steps.
  std::optional<Timeline> after(std::int64_t step) {
    if (step != last_ || !running_) return std::nullopt;
    running_ = false;
    return stop_recording();
  }

 private:
  std::int64_t first_, last_;
  bool running_ = false;
};

}  // namespace weft
