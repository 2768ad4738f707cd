// weft completion bash
#include <cstdio>

#include "core/base/error.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/help.hpp"

namespace weft {

namespace {
int completion_command(const Arguments& arguments) {
  if (arguments.positional(0) != "bash") {
    throw InputError("weft completion: no script for '" + arguments.positional(0) + "'",
                     "use: weft completion bash");
  }
  std::fputs(bash_completion(all_commands()).c_str(), stdout);
  return kDone;
}
}  // namespace

Command describe_completion() {
  return {.name = "completion",
          .summary = "print a script that completes commands and options in a shell",
          .positionals = {{.name = "SHELL", .help = "the shell: bash"}},
          .example = "eval \"$(weft completion bash)\"",
          .run = completion_command};
}

}  // namespace weft
