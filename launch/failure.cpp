// How a failure is told.
#include "launch/failure.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <unistd.h>

#include "core/base/error.hpp"
#include "launch/cli.hpp"
#include "launch/process.hpp"

namespace weft {

void print_failure(const std::exception& e, int rank) {
  const bool colour = isatty(STDERR_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  std::string text;
  if (rank != 0) text = "[rank " + std::to_string(rank) + " on " + host_name() + "] ";
  text += colour ? "\x1b[31merror:\x1b[0m " : "error: ";
  text += std::string(e.what()) + "\n";
  const auto* error = dynamic_cast<const Error*>(&e);
  if (error != nullptr && !error->hint().empty()) text += "hint: " + error->hint() + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

int exit_status_of(const std::exception& e) {
  return dynamic_cast<const InputError*>(&e) != nullptr ? kBadInput : kFailed;
}

void end_all_ranks(const std::exception& e, const Communicator& world) {
  if (world.size() == 1) return;
  print_failure(e, world.rank());
  abort_ranks(exit_status_of(e));
}

void agree(Communicator& world, const std::function<void()>& work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  const std::int64_t ranks = world.size();
  const std::int64_t first =
      world.all_reduce(failure ? std::int64_t{world.rank()} : ranks, ReduceOp::min);
  if (first == ranks) return;
  std::int64_t status = 0;
  if (failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      if (world.rank() == first) {
        print_failure(e, world.rank());
        status = exit_status_of(e);
      }
    }
  }
  throw AgreedFailure{static_cast<int>(world.all_reduce(status, ReduceOp::max))};
}

}  // namespace weft
