// What this machine is, as Linux tells it.
#include "launch/doctor/machine.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

namespace weft {

namespace {

// The kernel's name of a flag, and what people call it.
constexpr std::pair<const char*, const char*> kInstructions[] = {{"avx2", "AVX2"},
                                                                 {"avx512f", "AVX-512"},
                                                                 {"avx512_bf16", "AVX-512 bf16"},
                                                                 {"amx_bf16", "AMX bf16"}};

std::string whole_file(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Lines "key : value", blanks around both taken off.
std::vector<std::pair<std::string, std::string>> fields(const std::string& text) {
  const auto trimmed = [](const std::string& s) {
    const std::size_t first = s.find_first_not_of(" \t");
    return first == s.npos ? "" : s.substr(first, s.find_last_not_of(" \t") - first + 1);
  };
  std::vector<std::pair<std::string, std::string>> list;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == line.npos) continue;
    list.emplace_back(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
  }
  return list;
}

}  // namespace

Machine read_machine(const std::string& cpuinfo, const std::string& meminfo) {
  Machine machine;
  std::set<std::pair<std::string, std::string>> cores;
  std::string socket;
  int processors = 0;
  for (const auto& [key, value] : fields(cpuinfo)) {
    if (key == "processor") ++processors;
    if (key == "model name") machine.processor = value;
    if (key == "cpu family") machine.family = value;
    if (key == "model") machine.model = value;
    if (key == "physical id") socket = value;
    if (key == "core id") cores.emplace(socket, value);
    if (key != "flags" || !machine.instructions.empty()) continue;
    std::istringstream words(value);
    const std::set<std::string> flags{std::istream_iterator<std::string>(words), {}};
    for (const auto& [flag, name] : kInstructions) {
      if (flags.contains(flag)) machine.instructions.emplace_back(name);
    }
  }
  machine.cores = cores.empty() ? processors : static_cast<int>(cores.size());
  for (const auto& [key, value] : fields(meminfo)) {
    if (key == "MemTotal") machine.memory = std::strtoll(value.c_str(), nullptr, 10) * 1024;
    if (key == "MemAvailable")
      machine.free_memory = std::strtoll(value.c_str(), nullptr, 10) * 1024;
  }
  return machine;
}

Machine this_machine() {
  return read_machine(whole_file("/proc/cpuinfo"), whole_file("/proc/meminfo"));
}

}  // namespace weft
