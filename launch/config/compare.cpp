// Comparing configurations.
#include "launch/config/compare.hpp"

#include <fmt/format.h>

#include "launch/config/entries.hpp"
#include "launch/config/values.hpp"

namespace weft {

namespace {

constexpr const char* kDerivedValue = "derived";
constexpr const char* kContents = "contents of data.train";

bool is_derived(const Json& value) { return value.is_object() && value.contains(kDerivedValue); }

const Json& plain(const Json& value) { return is_derived(value) ? value[kDerivedValue] : value; }

}  // namespace

Json training_values(const Config& config) {
  Json values = Json::object();
  for (const ConfigEntry& e : config_entries(config)) {
    if (e.training) values[e.path] = e.derived() ? Json{{kDerivedValue, e.value}} : e.value;
  }
  if (!config.data.fingerprint.empty()) values[kContents] = config.data.fingerprint;
  return values;
}

std::vector<std::string> training_changes(const Json& stored, const Config& config) {
  std::vector<std::string> changes;
  const Json values = training_values(config);
  for (const auto& [path, value] : values.items()) {
    if (!stored.contains(path)) continue;  // written by a version without this key
    const Json& old = stored[path];
    if ((is_derived(old) && is_derived(value)) || plain(old) == plain(value)) continue;
    changes.push_back(fmt::format("{}: {} now, {} in the run", config.named(path),
                                  yaml_value(plain(value)), yaml_value(plain(old))));
  }
  return changes;
}

std::optional<Json> stored_value(const Json& stored, const std::string& key) {
  if (!stored.contains(key)) return std::nullopt;
  return plain(stored[key]);
}

}  // namespace weft
