// Runs programs for the tests of the command line; and tests the binary's front door with it.
#include "tests/launch/run_program.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft {

namespace {
std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}
}  // namespace

ProgramResult run_shell(const std::string& command) {
  static int number = 0;
  const auto base = std::filesystem::temp_directory_path() /
                    ("weft-run-" + std::to_string(getpid()) + "-" + std::to_string(number++));
  // The test program itself runs within MPI; what it starts must not take itself for a rank of it.
  const std::string full =
      "for v in $(env | grep -oE '^(OMPI_|PMIX_|PMI_)[A-Z_0-9a-z]*'); do unset $v; done; WEFT='" +
      std::string(WEFT_BINARY) + "'; { " + command + "\n} >" + base.string() + ".out 2>" +
      base.string() + ".err </dev/null";
  const int raw = std::system(full.c_str());
  ProgramResult result;
  result.status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  result.out = read_all(base.string() + ".out");
  result.err = read_all(base.string() + ".err");
  std::filesystem::remove(base.string() + ".out");
  std::filesystem::remove(base.string() + ".err");
  return result;
}

ProgramResult run_weft(const std::vector<std::string>& words) {
  std::string command = "\"$WEFT\"";
  for (const std::string& word : words) command += " '" + word + "'";
  return run_shell(command);
}

namespace {

TEST(Cli, WithoutACommandPrintsTheOverviewAndFails) {
  const ProgramResult r = run_weft({});
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find("usage: weft COMMAND"), std::string::npos);
}

TEST(Cli, HelpOfACommandHasAnExample) {
  for (const auto& words : {std::vector<std::string>{"help", "completion"},
                            std::vector<std::string>{"completion", "--help"}}) {
    const ProgramResult r = run_weft(words);
    EXPECT_EQ(r.status, 0);
    EXPECT_EQ(r.err, "");
    EXPECT_NE(r.out.find("usage: weft completion SHELL"), std::string::npos);
    EXPECT_NE(r.out.find("Example:"), std::string::npos);
  }
}

TEST(Cli, VersionNamesWhatWasBuiltIn) {
  const ProgramResult r = run_weft({"--version"});
  EXPECT_EQ(r.status, 0);
  for (const char* part : {"weft 0.", "compiler", "oneDNN", "MPI", "CUDA      no"}) {
    EXPECT_NE(r.out.find(part), std::string::npos) << part;
  }
}

TEST(Cli, UnknownCommandNamesTheNearest) {
  const ProgramResult r = run_weft({"hepl"});
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(r.err, "error: unknown command 'hepl'\nhint: did you mean weft help?\n");
}

TEST(Cli, CompletionScriptCompletesCommandsAndOptions) {
  const ProgramResult r = run_shell(
      "bash -c 'eval \"$(\"$0\" completion bash)\"; COMP_WORDS=(weft comp); COMP_CWORD=1; _weft; "
      "echo \"${COMPREPLY[@]}\"; COMP_WORDS=(weft completion --qu); COMP_CWORD=2; _weft; "
      "echo \"${COMPREPLY[@]}\"; COMP_WORDS=(weft completion --device cu); COMP_CWORD=3; _weft; "
      "echo \"${COMPREPLY[@]}\"' \"$WEFT\"");
  EXPECT_EQ(r.out, "completion\n--quiet\ncuda\n") << r.err;
}

}  // namespace
}  // namespace weft
