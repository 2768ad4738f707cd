// How a failure is told: one message from one rank, and the exit status that fits it.
#pragma once

#include <exception>
#include <functional>

#include "parallel/communicator.hpp"

namespace weft {

// Prints "error: MESSAGE" and the hint on stderr. Ranks other than 0 begin with "[rank 3 on HOST]".
void print_failure(const std::exception& e, int rank = 0);
// kBadInput for an InputError, else kFailed.
int exit_status_of(const std::exception& e);

// For an error that not all ranks agreed on: prints it and ends all of them at once, before
// anything is destroyed that might wait for another rank. Returns when there is no other rank.
void end_all_ranks(const std::exception& e, const Communicator& world);

// Thrown on every rank alike after the failure was printed: the program ends with `status`.
struct AgreedFailure {
  int status;
};

// Runs `work` on every rank; what it calls collectively must fail on all ranks alike. When it
// throws on some of them, the lowest of these prints its error, and all ranks throw AgreedFailure:
// nobody waits for a rank that is gone.
void agree(Communicator& world, const std::function<void()>& work);

}  // namespace weft
