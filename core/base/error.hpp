// Errors that reach a user: what is wrong, and what would be right.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace weft {

// A failure at run time (exit status 1). The message is one line without a trailing full stop; the
// hint, which may be empty, says what would be right: the nearest key, allowed values, a command.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, std::string hint = {})
      : std::runtime_error(message), hint_(std::move(hint)) {}

  const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

// Wrong usage, configuration or data (exit status 2): found before anything was started or written.
// A message about a file begins with "FILE:LINE: " or "FILE: ".
class InputError : public Error {
 public:
  using Error::Error;
};

}  // namespace weft
