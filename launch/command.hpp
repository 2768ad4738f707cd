// What a command is: its name, options, arguments and function.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace weft {

class Arguments;

// One option, written "--name VALUE" or "--name=VALUE"; a flag has no value.
struct Option {
  enum class Kind { flag, text, integer, real };

  std::string name = {};  // without the dashes
  Kind kind = Kind::flag;
  std::string value = {};                 // what the help calls the value: "N", "DIR"
  std::string help = {};                  // one line
  std::string fallback = {};              // the value when it is not given; shown in the help
  std::vector<std::string> allowed = {};  // text: the only values
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
  bool required = false;
  bool repeated = false;        // may be given several times
  std::string short_name = {};  // "v" for -v
};

// The arguments that are not options, in order; the last may take several.
struct Positional {
  std::string name = {};  // "FILE"
  std::string help = {};
  std::size_t min = 1;
  std::size_t max = 1;
};

struct Command {
  std::string name = {};
  std::string summary = {};  // one line, for the list of commands
  std::vector<Positional> positionals = {};
  std::vector<Option> options = {};
  std::string example = {};  // what the help shows, one command per line
  bool distributed = false;  // may run as several ranks under mpirun or srun
  // It computes on --device, which is opened before MPI is up; one that cannot be used is told
  // before any work. Other commands do not look for GPUs.
  bool opens_device = false;
  // What else must be done before MPI is up; throws nothing.
  void (*before_mpi)(const Arguments&) = nullptr;
  std::string details = {};                // a paragraph for the help; may be empty
  int (*run)(const Arguments&) = nullptr;  // returns an ExitStatus
};

// --force of commands that write a directory.
Option force_option();

// The options every command takes: --device, --threads, --precision, --json, --quiet, -v, --help.
const std::vector<Option>& common_options();

constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

}  // namespace weft
