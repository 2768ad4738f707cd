// A configuration as a list.
#include "launch/config/entries.hpp"

#include "launch/config/keys.hpp"
#include "models/registry.hpp"

namespace weft {

namespace {

std::string origin_of(const Config& c, const std::string& path, const std::string& otherwise) {
  const auto it = c.origins.find(path);
  return it == c.origins.end() ? otherwise : it->second;
}

void add_model_keys(std::vector<ConfigEntry>& entries, const Config& config) {
  const Json& model = config.model.keys;
  const std::string type = model.value("model_type", config.model.type);
  if (type.empty()) return;  // of model.from, not read yet
  const std::string otherwise = config.model.from.empty() ? "default" : "model.from";
  for (const std::string& name : model_keys(type)) {
    if (!model.contains(name)) continue;
    const std::string path = "model." + name;
    entries.push_back({path, model[name], origin_of(config, path, otherwise), true});
  }
}

}  // namespace

std::vector<ConfigEntry> config_entries(const Config& config) {
  Config copy = config;
  std::vector<ConfigEntry> entries;
  for (const ConfigKey& key : config_keys(copy)) {
    if (key.derived && !config.origins.contains(key.path)) continue;
    entries.push_back({key.path, key.value(), origin_of(config, key.path, "default"),
                       key.effect == ConfigKey::Effect::training});
    if (key.path == "model.from") add_model_keys(entries, config);
  }
  return entries;
}

std::string section_of(const std::string& path) {
  const std::size_t dot = path.find('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

}  // namespace weft
