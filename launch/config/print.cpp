// A configuration as text.
#include "launch/config/print.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "launch/config/keys.hpp"
#include "models/registry.hpp"

namespace weft {

namespace {

struct Entry {
  std::string path;
  Json value;
  std::string origin;
  bool training;
};

std::string origin_of(const Config& c, const std::string& path) {
  const auto it = c.origins.find(path);
  return it == c.origins.end() ? "default" : it->second;
}

// All keys, those of the model's family behind model.type.
std::vector<Entry> entries_of(const Config& config) {
  Config copy = config;
  std::vector<Entry> entries;
  for (const ConfigKey& key : config_keys(copy)) {
    entries.push_back({key.path, key.value(), origin_of(config, key.path),
                       key.effect == ConfigKey::Effect::training});
    if (key.path != "model.from") continue;
    const Json& model = config.model.keys;
    if (!model.contains("model_type")) continue;
    const std::string origin = config.model.from.empty() ? "default" : "model.from";
    for (const std::string& name : model_keys(model["model_type"].get<std::string>())) {
      if (!model.contains(name)) continue;
      const std::string path = "model." + name;
      entries.push_back({path, model[name],
                         config.origins.contains(path) ? config.origins.at(path) : origin, true});
    }
  }
  return entries;
}

bool plain(const std::string& s) {
  const auto fits = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '/' || c == '-' || c == '.';
  };
  return !s.empty() && std::isalpha(static_cast<unsigned char>(s[0])) != 0 &&
         std::all_of(s.begin(), s.end(), fits) && s != "true" && s != "false" && s != "null";
}

std::string yaml_value(const Json& v) {
  if (v.is_string()) return plain(v.get<std::string>()) ? v.get<std::string>() : v.dump();
  if (!v.is_structured()) return v.dump();
  std::vector<std::string> parts;
  for (const auto& [key, item] : v.items()) {
    parts.push_back(v.is_object() ? key + ": " + yaml_value(item) : yaml_value(item));
  }
  return fmt::format("{}{}{}", v.is_object() ? "{" : "[", fmt::join(parts, ", "),
                     v.is_object() ? "}" : "]");
}

// Keys that a written configuration must leave out: they are not set.
bool unset(const Entry& e) {
  return (e.value.is_string() && e.value.get<std::string>().empty()) ||
         (e.path == "data.eval" && e.value.empty());
}

std::string section_of(const std::string& path) {
  const std::size_t dot = path.find('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

// With model.from the family's keys come from there: a file names them in comments only.
std::string to_yaml(const Config& config, bool origins) {
  std::string text;
  std::string section;
  for (const Entry& e : entries_of(config)) {
    if (unset(e)) continue;
    const std::string own = section_of(e.path);
    if (own != section && !own.empty()) text += own + ":\n";
    section = own;
    const bool inherited = !config.model.from.empty() && own == "model" && e.path != "model.from";
    std::string line = own.empty() ? "" : inherited ? "  # " : "  ";
    line += e.path.substr(own.empty() ? 0 : own.size() + 1) + ": " + yaml_value(e.value);
    text += origins ? fmt::format("{:<48}  # {}\n", line, e.origin) : line + "\n";
  }
  return text;
}

}  // namespace

std::string config_with_origins(const Config& config) { return to_yaml(config, true); }

std::string config_yaml(const Config& config) { return to_yaml(config, false); }

std::string config_as_json_lines(const Config& config) {
  std::string text;
  for (const Entry& e : entries_of(config)) {
    text += Json{{"key", e.path}, {"value", e.value}, {"origin", e.origin}}.dump() + "\n";
  }
  return text;
}

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
      "key marked * has changed, as that would change its training; --force accepts the change.\n";
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

Json training_values(const Config& config) {
  Json values = Json::object();
  for (const Entry& e : entries_of(config)) {
    if (e.training) values[e.path] = e.value;
  }
  return values;
}

std::vector<std::string> training_changes(const Json& stored, const Config& config) {
  std::vector<std::string> changes;
  const Json values = training_values(config);
  for (const auto& [path, value] : values.items()) {
    if (!stored.contains(path)) continue;  // written by a version without this key
    if (stored[path] == value) continue;
    changes.push_back(fmt::format("{}{}: {} now, {} in the run", config.at(path), path,
                                  yaml_value(value), yaml_value(stored[path])));
  }
  return changes;
}

}  // namespace weft
