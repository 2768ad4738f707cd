// A configuration as text.
#include "launch/config/print.hpp"

#include <fmt/format.h>

#include "launch/config/entries.hpp"
#include "launch/config/values.hpp"

namespace weft {

namespace {

// Keys that a written configuration must leave out: they are not set.
bool unset(const ConfigEntry& e) {
  return (e.value.is_string() && e.value.get<std::string>().empty()) ||
         (e.path == "data.eval" && e.value.empty());
}

// What is set neither here nor by default stands in comments: a derived value, which follows from
// other keys again when the text is read, and with model.from the family's keys, which come from
// there.
std::string to_yaml(const Config& config, bool origins) {
  std::string text;
  std::string section;
  for (const ConfigEntry& e : config_entries(config)) {
    if (unset(e)) continue;
    const std::string own = section_of(e.path);
    if (own != section && !own.empty()) text += own + ":\n";
    section = own;
    const bool inherited = !config.model.from.empty() && own == "model" && e.path != "model.from";
    std::string line = own.empty() ? "" : inherited || e.derived() ? "  # " : "  ";
    line += e.path.substr(own.empty() ? 0 : own.size() + 1) + ": " + yaml_value(e.value);
    text += origins       ? fmt::format("{:<48}  # {}\n", line, e.origin)
            : e.derived() ? line + "  (derived)\n"
                          : line + "\n";
  }
  return text;
}

}  // namespace

std::string config_with_origins(const Config& config) { return to_yaml(config, true); }

std::string config_yaml(const Config& config) { return to_yaml(config, false); }

std::string config_as_json_lines(const Config& config) {
  std::string text;
  for (const ConfigEntry& e : config_entries(config)) {
    text += Json{{"key", e.path}, {"value", e.value}, {"origin", e.origin}}.dump() + "\n";
  }
  return text;
}

}  // namespace weft
