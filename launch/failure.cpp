// How a failure is told.
#include "launch/failure.hpp"

#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "launch/cli.hpp"
#include "launch/process.hpp"

namespace weft {

void print_failure(const std::exception& e, const std::string& who) {
  const bool colour = isatty(STDERR_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  std::string message = e.what();
  if (message.starts_with(who)) message.erase(0, who.size());
  std::string text = who + (colour ? "\x1b[31merror:\x1b[0m " : "error: ") + message + "\n";
  const auto* error = dynamic_cast<const Error*>(&e);
  if (error != nullptr && !error->hint().empty()) text += "hint: " + error->hint() + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

int exit_status_of(const std::exception& e) {
  return dynamic_cast<const InputError*>(&e) != nullptr ? kBadInput : kFailed;
}

int end_ranks(const std::exception& e, int status) {
  const int rank = launched_rank().rank;
  if (const auto* agreed = dynamic_cast<const Agreed*>(&e)) {
    if (rank == 0) print_failure(e, agreed->who);
    return status;
  }
  print_failure(e, rank_prefix(rank));
  abort_ranks(status);
  return status;
}

}  // namespace weft
