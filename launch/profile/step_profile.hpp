// Where the time of training steps went, from the timeline of a rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/backend/timeline.hpp"

namespace weft {

// The measured peaks that calls are held against, per second.
struct Ceilings {
  double flops_f32 = 0, flops_bf16 = 0, bytes = 0;

  double flops(DType dtype) const { return dtype == DType::bf16 ? flops_bf16 : flops_f32; }
};

// Measures them at the first call, in about a second.
Ceilings cpu_ceilings();

// Spans of one name: and, of products, of one size.
struct ProfileRow {
  std::string name, dtype, size;
  std::int64_t calls = 0;
  double seconds = 0;
  Work work;
  double seconds_at_ceiling = 0;  // what the work would take
  std::vector<ProfileRow> sizes;  // of products of several sizes: the parts of this row
};

// Of all recorded steps together.
struct StepProfile {
  std::int64_t first_step = 1;  // of the run, counted from 1
  std::int64_t steps = 0;
  double seconds = 0;
  // The calls of kernels, the longest first, and what the ranges of the same thread spent outside
  // of calls and of inner ranges: together they are the steps' time.
  std::vector<ProfileRow> calls, outside;
  std::vector<ProfileRow> phases;  // the ranges right inside the step, with all within them
  std::vector<ProfileRow> beside;  // the outermost ranges of other threads at that time
};

// The name of the range that is a step.
constexpr const char* kStepRange = "step";

StepProfile profile_of(const Timeline& timeline, const Ceilings& ceilings);

}  // namespace weft
