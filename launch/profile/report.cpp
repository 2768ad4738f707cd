// What a run tells of its profiled steps.
#include "launch/profile/report.hpp"

#include <fmt/format.h>
#include <omp.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/host.hpp"
#include "launch/profile/step_profile.hpp"
#include "launch/profile/table.hpp"
#include "launch/profile/trace.hpp"

namespace weft {

namespace {

std::string heading(const ProfileReport& report, const StepProfile& profile) {
  const int threads = omp_get_max_threads();
  const double each = 1e3 * profile.seconds / static_cast<double>(profile.steps);
  return fmt::format(
      "profile of steps {} to {}{}: {:.3f} ms each, {} thread{}", profile.first_step,
      profile.first_step + profile.steps - 1,
      report.ranks > 1 ? fmt::format(", rank {} of {}", report.rank, report.ranks) : "", each,
      threads, threads == 1 ? "" : "s");
}

void print(const ProfileReport& report, const StepProfile& profile, const Ceilings& ceilings,
           const Console& console) {
  if (report.json) {
    for (const Json& object : json_of(profile, ceilings)) console.result(object.dump());
    return;
  }
  console.result(heading(report, profile));
  for (const std::string& line : lines_of(profile, ceilings)) console.result(line);
}

}  // namespace

std::string trace_file_name(int rank) { return fmt::format("trace-rank-{}.json", rank); }

void tell(const ProfileReport& report, const Timeline& timeline, const std::filesystem::path& dir,
          const Console& console) {
  const Ceilings ceilings = cpu_ceilings();
  StepProfile profile = profile_of(timeline, ceilings);
  profile.first_step = report.first_step;
  print(report, profile, ceilings, console);
  const std::filesystem::path file = dir / trace_file_name(report.rank);
  try {
    const std::string process = fmt::format("rank {} on {}", report.rank, host_name());
    write_file_atomic(file, trace_of(timeline, report.rank, process));
    console.info(fmt::format("the trace is {}: open it in https://ui.perfetto.dev", file.string()));
  } catch (const Error& e) {
    console.warn(fmt::format("no trace: {}", e.what()));
  }
}

}  // namespace weft
