// Runs the weft binary (or any command) and keeps what it printed.
#pragma once

#include <string>
#include <vector>

namespace weft {

struct ProgramResult {
  int status = 0;  // exit status, or 128 + signal
  std::string out, err;
};

// A shell command, with the binary as $WEFT.
ProgramResult run_shell(const std::string& command);
// weft with these words.
ProgramResult run_weft(const std::vector<std::string>& words);

}  // namespace weft
