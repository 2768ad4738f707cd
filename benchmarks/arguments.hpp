// The words given to a program of benchmarks/, read strictly: what is wrong is named.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/number.hpp"
#include "core/tensor/device.hpp"

namespace weft {

// A whole number from `least` to `most`; `name` is that of the option or argument.
inline std::int64_t whole_number(const std::string& name, const std::string& value,
                                 std::int64_t least, std::int64_t most) {
  const auto n = parse_number<std::int64_t>(value);
  if (n && *n >= least && *n <= most) return *n;
  throw InputError(n ? fmt::format("{}: {} is out of range", name, value)
                     : fmt::format("{}: '{}' is not a whole number", name, value),
                   fmt::format("give a whole number from {} to {}", least, most));
}

inline double positive_number(const std::string& name, const std::string& value) {
  const auto x = parse_number<double>(value);
  if (x && std::isfinite(*x) && *x > 0) return *x;
  throw InputError(fmt::format("{}: '{}' is not a positive number", name, value),
                   "give a number above 0, as 0.5");
}

inline std::string one_of(const std::string& name, const std::string& value,
                          const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  throw InputError(fmt::format("{}: '{}' is not possible", name, value),
                   fmt::format("use one of: {}", fmt::join(allowed, ", ")));
}

// The words one after the other: options, each with a value, and other arguments.
class Words {
 public:
  Words(std::string program, int argc, char** argv)
      : program_(std::move(program)), words_(argv + 1, argv + argc) {}

  // Steps to the next option or argument; false at the end.
  bool next() {
    if (next_ == words_.size()) return false;
    word_ = words_[next_++];
    return true;
  }
  const std::string& word() const { return word_; }
  bool is_option() const { return word_.starts_with('-'); }

  // The value of the option: the word behind it.
  std::string value() {
    if (next_ == words_.size()) throw InputError(word_ + " needs a value", see_help());
    return words_[next_++];
  }
  std::int64_t whole(std::int64_t least, std::int64_t most) {
    return whole_number(word_, value(), least, most);
  }
  double positive() { return positive_number(word_, value()); }
  std::string one(const std::vector<std::string>& allowed) {
    return one_of(word_, value(), allowed);
  }
  DeviceType device_type() {
    return one({"cpu", "cuda"}) == "cuda" ? DeviceType::cuda : DeviceType::cpu;
  }

  // For a word that the program has no use for.
  [[noreturn]] void refuse() const {
    throw InputError(is_option() ? "unknown option " + word_ : "unexpected argument " + word_,
                     see_help());
  }

 private:
  std::string see_help() const { return program_ + " --help says what there is"; }

  std::string program_;
  std::vector<std::string> words_;
  std::size_t next_ = 0;
  std::string word_;
};

// The arguments of a program that has no options, `most` of them at most.
inline std::vector<std::string> plain_arguments(Words words, std::size_t most) {
  std::vector<std::string> given;
  while (words.next()) {
    const bool is_number = parse_number<double>(words.word()).has_value();  // -1 is no option
    if ((words.is_option() && !is_number) || given.size() == most) words.refuse();
    given.push_back(words.word());
  }
  return given;
}

}  // namespace weft
