// How a failure is told: one message from one rank, and the exit status that fits it.
#pragma once

#include <exception>
#include <string>

#include "parallel/agree.hpp"

namespace weft {

// Prints "error: MESSAGE" and the hint on stderr, behind `who` (see rank_prefix()).
void print_failure(const std::exception& e, const std::string& who = {});
// kBadInput for an InputError, else kFailed.
int exit_status_of(const std::exception& e);

// Ends this rank's part in a failure and returns `status`. An Agreed error is told by rank 0. Any
// other is told by the rank that has it, which then ends all ranks at once, as they may wait for
// it: to be called before anything is destroyed that waits for other ranks itself.
int end_ranks(const std::exception& e, int status);

}  // namespace weft
