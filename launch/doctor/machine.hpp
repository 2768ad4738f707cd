// What this machine is: processor and memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft {

struct Machine {
  std::string processor;
  std::string family, model;                 // numbers of its maker
  int cores = 0;                             // of the whole machine
  std::vector<std::string> instructions;     // of those that make a difference: avx2, amx ...
  std::int64_t memory = 0, free_memory = 0;  // bytes
};

Machine this_machine();
// From the texts of /proc/cpuinfo and /proc/meminfo.
Machine read_machine(const std::string& cpuinfo, const std::string& meminfo);

}  // namespace weft
