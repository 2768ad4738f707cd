// Requests to stop: SIGTERM, SIGINT and SIGUSR1 set a flag that training looks at between steps.
#pragma once

namespace weft {

// Catches the three signals while it lives. A second SIGINT ends the process at once.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Whether this process was asked to stop; other ranks may not know it yet.
  static bool requested();
  // "SIGUSR1", or "" when none came.
  static const char* name();
};

}  // namespace weft
