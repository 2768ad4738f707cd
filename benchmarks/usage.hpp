// What each program of benchmarks/ says to --help.
#pragma once

#include <cstdio>
#include <string_view>

namespace weft {

// Whether --help is among the arguments; then `usage` is printed, and the program is to end.
inline bool asks_for_help(int argc, char** argv, const char* usage) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--help") continue;
    std::puts(usage);
    return true;
  }
  return false;
}

}  // namespace weft
