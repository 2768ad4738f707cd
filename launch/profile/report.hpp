// What a run tells of its profiled steps: a table on stdout, and a trace in its directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/backend/timeline.hpp"
#include "launch/console.hpp"

namespace weft {

struct ProfileReport {
  std::int64_t first_step = 1;  // counted from 1
  int rank = 0, ranks = 1;
  bool json = false;  // objects instead of the table
};

// Measures the ceilings, so all ranks call it at the same time. Each writes the trace of its own
// timeline into `dir`; the table is that of the rank that speaks. A trace that cannot be written is
// warned of.
void tell(const ProfileReport& report, const Timeline& timeline, const std::filesystem::path& dir,
          const Console& console);

// "trace-rank-0.json".
std::string trace_file_name(int rank);

}  // namespace weft
