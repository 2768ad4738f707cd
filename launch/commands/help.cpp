// weft help [COMMAND]
#include "launch/help.hpp"

#include <cstdio>

#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/config/reference.hpp"

namespace weft {

namespace {
int help_command(const Arguments& arguments) {
  const std::string name = arguments.positional(0);
  const std::string text = name.empty()       ? overview(all_commands())
                           : name == "config" ? config_reference()
                                              : help_text(find_command(name));
  std::fputs(text.c_str(), stdout);
  return kDone;
}
}  // namespace

Command describe_help() {
  return {.name = "help",
          .summary = "explain a command, or list all of them",
          .positionals = {{.name = "COMMAND",
                           .help = "the command to explain, or config: the keys of a configuration",
                           .min = 0}},
          .example = "weft help pretrain",
          .run = help_command};
}

}  // namespace weft
