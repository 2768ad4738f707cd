// Runs the weft binary (or any command) and keeps what it printed.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace weft {

struct ProgramResult {
  int status = 0;  // exit status, or 128 + signal
  std::string out, err;
};

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A shell command, with the binary as $WEFT.
inline ProgramResult run_shell(const std::string& command) {
  static int number = 0;
  const auto base = std::filesystem::temp_directory_path() /
                    ("weft-run-" + std::to_string(getpid()) + "-" + std::to_string(number++));
  // The tests themselves may run as a rank; what they start must not take itself for a rank of it.
  const std::string full =
      "for v in $(env | grep -oE '^(OMPI_|PMIX_|PMI_)[A-Z_0-9a-z]*'); do unset $v; done; WEFT='" +
      std::string(WEFT_BINARY) + "'; { " + command + "\n} >" + base.string() + ".out 2>" +
      base.string() + ".err </dev/null";
  const int raw = std::system(full.c_str());
  ProgramResult result;
  result.status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  result.out = read_whole(base.string() + ".out");
  result.err = read_whole(base.string() + ".err");
  std::filesystem::remove(base.string() + ".out");
  std::filesystem::remove(base.string() + ".err");
  return result;
}

// weft with these words.
inline ProgramResult run_weft(const std::vector<std::string>& words) {
  std::string command = "\"$WEFT\"";
  for (const std::string& word : words) command += " '" + word + "'";
  return run_shell(command);
}

}  // namespace weft
