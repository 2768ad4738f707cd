// Checking that a wrong call is refused with a message that says what is wrong.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {

// Expects that call() throws an Error whose message contains each of `parts`.
inline void expect_error(const std::function<void()>& call,
                         std::initializer_list<std::string> parts) {
  try {
    call();
    ADD_FAILURE() << "no error; expected one about " << *parts.begin();
  } catch (const Error& e) {
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos)
          << "'" << e.what() << "' does not contain '" << part << "'";
    }
  }
}

}  // namespace weft
