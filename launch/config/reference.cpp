// The help text about configurations, made from the table of keys.
#include "launch/config/reference.hpp"

#include <fmt/format.h>

#include "launch/config/entries.hpp"
#include "launch/config/keys.hpp"
#include "launch/config/values.hpp"
#include "models/registry.hpp"

namespace weft {

namespace {

std::string default_of(const ConfigKey& key) {
  if (key.required) return "(required)";
  if (key.derived) return "(derived)";
  const Json value = key.value();
  const bool none = (value.is_string() && value.get<std::string>().empty()) ||
                    (value.is_array() && value.empty());
  return none ? "(none)" : yaml_value(value);
}

}  // namespace

std::string config_reference() {
  Config defaults;
  std::string text =
      "The keys of a configuration, their defaults and meanings. A run refuses to continue when a\n"
      "key marked * has changed, as that would change its training; --force accepts the change.\n"
      "A (derived) value follows from other keys, also when those change.\n";
  std::string section;
  for (const ConfigKey& key : config_keys(defaults)) {
    if (section_of(key.path) != section) text += "\n";
    section = section_of(key.path);
    const char mark = key.effect == ConfigKey::Effect::training ? '*' : ' ';
    text += fmt::format("{}{:<36} {:<12} {}\n", mark, key.path, default_of(key), key.doc);
    if (key.wanted != kAnyText) text += fmt::format("{:51}{}\n", "", key.wanted);
  }
  for (const std::string& type : model_types()) {
    text +=
        fmt::format("\nWith model.type: {} also these, as in Hugging Face's config.json:\n", type);
    for (const std::string& name : model_keys(type)) text += "*model." + name + "\n";
  }
  return text;
}

}  // namespace weft
