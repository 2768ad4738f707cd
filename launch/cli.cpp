// The command line.
#include "launch/cli.hpp"

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "launch/arguments.hpp"
#include "launch/commands.hpp"
#include "launch/device.hpp"
#include "launch/failure.hpp"
#include "launch/help.hpp"
#include "launch/process.hpp"
#include "launch/training/stop_signal.hpp"
#include "launch/version.hpp"

namespace weft {

namespace {

// Before MPI is up, what there is to say is the same on every rank: rank 0 says it.
bool first_rank() {
  try {
    return launched_rank().rank == 0;
  } catch (const std::exception&) {
    return true;
  }
}

// A result that did not reach its file is a failure, as on a full disk.
void check_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw Error("standard output could not be written", "is its disk full?");
  }
}

int print_result(const std::string& text) {
  if (first_rank()) std::fputs(text.c_str(), stdout);
  return kDone;
}

int run_distributed(const Command& command, const Arguments& arguments) {
  catch_stop_signals();          // also while MPI comes up and goes down
  std::exception_ptr no_device;  // told when the ranks can agree on who tells it
  if (command.before_mpi != nullptr) command.before_mpi(arguments);
  try {
    if (command.opens_device) open_device(arguments.device());
  } catch (...) {
    no_device = std::current_exception();
  }
  const MpiSession mpi;
  try {
    agree(*host_communicator(), [&] {
      if (no_device) std::rethrow_exception(no_device);
    });
    set_threads(arguments.threads());
    return command.run(arguments);
  } catch (const std::exception& e) {
    return end_ranks(e, exit_status_of(e));
  }
}

int run_alone(const Command& command, const Arguments& arguments) {
  const LaunchedRank& launched = launched_rank();
  if (launched.ranks > 1) {
    throw InputError("weft " + command.name + " runs in one process, but " + launched.launcher +
                         " started " + std::to_string(launched.ranks),
                     "start it without mpirun or srun");
  }
  if (command.opens_device) arguments.device();  // a wrong one is told before any work
  set_threads(arguments.threads());
  return command.run(arguments);
}

int run_command(const Command& command, const std::vector<std::string>& words) {
  const Arguments arguments(command, words);
  if (arguments.help()) return print_result(help_text(command));
  return command.distributed ? run_distributed(command, arguments) : run_alone(command, arguments);
}

int run_words(const std::vector<std::string>& words) {
  if (words.empty()) {
    if (first_rank()) std::fputs(overview(all_commands()).c_str(), stderr);
    return kBadInput;
  }
  const std::string& name = words.front();
  if (name == "--help" || name == "-h") return print_result(overview(all_commands()));
  if (name == "--version") return print_result(version_text());
  return run_command(find_command(name), {words.begin() + 1, words.end()});
}

}  // namespace

int run(int argc, char** argv) {
  try {
    const int status = run_words({argv + 1, argv + argc});
    if (status == kDone) check_output();
    return status;
  } catch (const std::exception& e) {
    if (first_rank()) print_failure(e);
    return exit_status_of(e);
  }
}

}  // namespace weft
