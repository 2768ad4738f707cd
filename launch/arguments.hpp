// Arguments: a command line, checked against what its command declares.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor/device.hpp"
#include "core/tensor/dtype.hpp"
#include "launch/command.hpp"

namespace weft {

// The values of a command line. Names are those of the declared options, without dashes.
class Arguments {
 public:
  // `words` are those after the command's name. Throws InputError for an unknown option (with the
  // nearest known one), a missing value, a bad or unallowed value, too few or too many arguments.
  // With --help nothing is required.
  Arguments(const Command& command, const std::vector<std::string>& words);

  const Command& command() const { return *command_; }

  bool given(const std::string& name) const;  // on the command line itself
  bool flag(const std::string& name) const { return given(name); }
  // The value given last, or the declared fallback; "" or 0 when there is neither.
  std::string text(const std::string& name) const;
  std::int64_t integer(const std::string& name) const;
  double real(const std::string& name) const;
  std::vector<std::string> all(const std::string& name) const;  // of a repeated option

  const std::vector<std::string>& positionals() const { return positionals_; }
  // Argument i, or "" when it was left out.
  std::string positional(std::size_t i) const;

  // The common options.
  bool help() const { return flag("help"); }
  bool json() const { return flag("json"); }
  bool quiet() const { return flag("quiet"); }
  bool verbose() const { return flag("verbose"); }
  bool force() const { return flag("force"); }
  Device device() const;  // of this rank; throws InputError when there is none such
  // Nothing when not given; throws InputError when the device does not compute in it.
  std::optional<DType> precision() const;
  int threads() const { return static_cast<int>(integer("threads")); }  // 0: not given

 private:
  const Option* find(const std::string& name) const;
  std::size_t parse_option(const std::vector<std::string>& words, std::size_t i);
  void check_value(const Option& option, const std::string& value) const;
  void check_positionals() const;
  void check_required() const;

  const Command* command_;
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positionals_;
};

}  // namespace weft
