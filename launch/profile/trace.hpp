// A timeline as a file that Perfetto (ui.perfetto.dev) and Chrome's tracing page open.
#pragma once

#include <string>

#include "core/backend/timeline.hpp"

namespace weft {

// Google's "Trace Event Format": complete events in microseconds from the first span on, a row for
// each thread; `process` names the process and `rank` numbers it, so that the files of several
// ranks can be opened together.
std::string trace_of(const Timeline& timeline, int rank, const std::string& process);

}  // namespace weft
