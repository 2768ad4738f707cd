// The keys of a configuration: each one once, with type, range and explanation.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launch/config/config.hpp"

namespace weft {

inline constexpr const char* kAnyText = "a text";

struct ConfigKey {
  std::string path;    // "optimizer.lr"
  std::string doc;     // one line
  std::string wanted;  // "a number above 0", "one of: linear, cosine"
  // What a change of it in mid-run means: `training` keys decide weights, so that a run refuses to
  // go on with another value; `harmless` ones do not, or only to rounding, as the layout.
  enum class Effect { training, harmless } effect = Effect::training;
  bool required = false;
  bool derived = false;                              // without a value it follows from other keys
  std::function<void(const ConfigNode&)> read = {};  // throws InputError
  std::function<Json()> value = {};
};

// The keys bound to the fields of `config`, in the order of the sections. Those of `model` other
// than `type` and `from` belong to the model's family and are not listed.
std::vector<ConfigKey> config_keys(Config& config);

// Throws InputError "WHERE: KEY: 'text' is not possible" with what is wanted.
[[noreturn]] void refuse_value(const ConfigNode& node, const std::string& path,
                               const std::string& wanted);

}  // namespace weft
