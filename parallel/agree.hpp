// Failing together: what goes wrong on one rank is thrown on all of them, and told once.
#pragma once

#include <functional>
#include <string>

#include "core/base/error.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// "[rank 3 on HOST] ": how the message of a rank other than 0 begins; "" for rank 0.
std::string rank_prefix(int rank);

// Marks an error that all ranks throw alike: one of them tells it, and nobody waits for a rank that
// is gone. Its message begins with `who`, the rank_prefix() of the rank where it happened.
struct Agreed {
  std::string who;
};

class AgreedError : public Error, public Agreed {
 public:
  explicit AgreedError(const std::string& message, std::string hint = {}, std::string where = {})
      : Error(where + message, std::move(hint)), Agreed{std::move(where)} {}
};

class AgreedInputError : public InputError, public Agreed {
 public:
  explicit AgreedInputError(const std::string& message, std::string hint = {},
                            std::string where = {})
      : InputError(where + message, std::move(hint)), Agreed{std::move(where)} {}
};

// Runs `work` on every rank of `group`, then agrees: when it threw anywhere, all ranks throw the
// error of the lowest such rank, as AgreedInputError when it was an InputError, else as
// AgreedError. A `work` that communicates must not throw between its collectives, unless on all
// ranks alike.
void agree(Communicator& group, const std::function<void()>& work);

}  // namespace weft
