// Requests to stop: SIGTERM, SIGINT and SIGUSR1 set a flag that long work looks at.
#pragma once

namespace weft {

// Catches the three signals from now to the end of the process: one that comes when all is saved
// must not change the exit status. A second SIGINT ends the process at once.
void catch_stop_signals();

// Whether this process was asked to stop; other ranks may not know it yet.
bool stop_requested();
// "SIGUSR1", or "" when none came.
const char* stop_signal_name();

}  // namespace weft
