// All commands. To add one: write launch/commands/NAME.cpp with a function describe_NAME(), declare
// it here and list it in commands.cpp.
#pragma once

#include <vector>

#include "launch/command.hpp"

namespace weft {

Command describe_inspect_data();
Command describe_pretrain();
Command describe_fill_mask();
Command describe_forward();
Command describe_prepare();
Command describe_verify_checkpoint();
Command describe_doctor();
Command describe_help();
Command describe_completion();
Command describe_train_tokenizer();
Command describe_tokenize();

// In the order in which the help lists them.
const std::vector<Command>& all_commands();

// Throws InputError with the nearest name for an unknown one.
const Command& find_command(const std::string& name);

}  // namespace weft
