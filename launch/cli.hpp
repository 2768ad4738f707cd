// The command line: finds the command, runs it, turns errors into messages and exit statuses.
#pragma once

namespace weft {

// Exit statuses of every command.
enum ExitStatus : int {
  kDone = 0,
  kFailed = 1,    // at run time
  kBadInput = 2,  // wrong usage, configuration or data: nothing was started or written
  kStopped = 75,  // stopped on request after saving; a job script requeues on it
};

int run(int argc, char** argv);

}  // namespace weft
