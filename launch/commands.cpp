// The table of commands.
#include "launch/commands.hpp"

#include "core/base/error.hpp"
#include "core/base/suggest.hpp"

namespace weft {

const std::vector<Command>& all_commands() {
  static const std::vector<Command> commands = {
      describe_train_tokenizer(), describe_tokenize(),
      describe_prepare(),         describe_inspect_data(),
      describe_pretrain(),        describe_verify_checkpoint(),
      describe_fill_mask(),       describe_forward(),
      describe_doctor(),          describe_help(),
      describe_completion(),
  };
  return commands;
}

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& c : all_commands()) {
    if (c.name == name) return c;
    names.push_back(c.name);
  }
  std::string near = nearest(name, names);
  for (const std::string& n : names) {
    if (near.empty() && n.starts_with(name)) near = n;
  }
  throw InputError("unknown command '" + name + "'", near.empty()
                                                         ? "weft help lists the commands"
                                                         : "did you mean weft " + near + "?");
}

}  // namespace weft
