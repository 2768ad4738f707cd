// Reading a configuration: the tree against the table of keys.
#include "launch/config/config.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/suggest.hpp"
#include "launch/config/keys.hpp"
#include "launch/config/values.hpp"
#include "models/registry.hpp"

namespace weft {

namespace {

const ConfigNode* find_path(const ConfigNode& root, const std::string& path) {
  const std::size_t dot = path.find('.');
  if (dot == std::string::npos) return root.find(path);
  const ConfigNode* section = root.find(path.substr(0, dot));
  return section == nullptr ? nullptr : section->find(path.substr(dot + 1));
}

std::vector<std::string> known_paths(const std::vector<ConfigKey>& keys, const Config& config) {
  std::vector<std::string> paths;
  for (const ConfigKey& key : keys) paths.push_back(key.path);
  if (!config.model.type.empty()) {
    for (const std::string& name : model_keys(config.model.type)) paths.push_back("model." + name);
  }
  return paths;
}

struct PathParts {
  std::string section, leaf;  // "optimizer", "lr"; a top-level key is a leaf without a section
};

PathParts parts_of(const std::string& path) {
  const std::size_t dot = path.find('.');
  if (dot == std::string::npos) return {"", path};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

// The key that was meant: the nearest in the same section, the same name in another section, or the
// same name in the nearest section; "" when nothing is near.
std::string meant_key(const std::string& path, const std::vector<std::string>& known) {
  const PathParts wrong = parts_of(path);
  std::vector<std::string> sections;
  std::vector<std::string> leaves;
  std::string elsewhere;
  for (const std::string& k : known) {
    const PathParts right = parts_of(k);
    sections.push_back(right.section.empty() ? right.leaf : right.section);
    if (right.section == wrong.section) leaves.push_back(right.leaf);
    if (right.leaf == wrong.leaf && elsewhere.empty()) elsewhere = k;
  }
  const std::string leaf = nearest(wrong.leaf, leaves);
  if (!leaf.empty()) return wrong.section.empty() ? leaf : wrong.section + "." + leaf;
  const std::string section = nearest(wrong.section.empty() ? wrong.leaf : wrong.section, sections);
  const std::string moved = section + "." + wrong.leaf;
  if (std::find(known.begin(), known.end(), moved) != known.end()) return moved;
  if (!elsewhere.empty()) return elsewhere;
  return leaves.empty() || wrong.section.empty() ? section : "";
}

[[noreturn]] void refuse_key(const ConfigNode& node, const std::string& path,
                             const std::vector<std::string>& known) {
  const std::string near = meant_key(path, known);
  std::string hint = "did you mean '" + near + "'?";
  if (near.empty()) {
    const std::string section = parts_of(path).section;
    std::vector<std::string> siblings;
    for (const std::string& k : known) {
      if (parts_of(k).section == section) siblings.push_back(parts_of(k).leaf);
    }
    hint = section.empty() || siblings.empty()
               ? "sections: run, model, tokenizer, data, objective, optimizer, schedule, train, "
                 "parallel, checkpoint, log, eval"
               : fmt::format("{} has: {}", section, fmt::join(siblings, ", "));
  }
  throw InputError(fmt::format("{}: unknown key '{}'", node.where, path), hint);
}

// Every leaf of the tree must be a known key, every section a section.
void check_names(const ConfigNode& root, const std::vector<std::string>& known) {
  const auto is_known = [&](const std::string& path) {
    return std::find(known.begin(), known.end(), path) != known.end();
  };
  for (const auto& [name, node] : root.entries) {
    if (is_known(name)) continue;
    const bool section = std::any_of(known.begin(), known.end(), [&](const std::string& k) {
      return k.starts_with(name + ".");
    });
    if (section && node.kind == ConfigNode::Kind::null) continue;
    if (section && node.kind != ConfigNode::Kind::map) {
      refuse_value(node, name, "a section: " + name + ": {...}");
    }
    if (!section && node.entries.empty()) refuse_key(node, name, known);
    for (const auto& [key, child] : node.entries) {
      const std::string path = name + "." + key;
      if (!is_known(path)) refuse_key(child, path, known);
    }
  }
}

// The model's family names its own keys; their values are checked by it in resolve_config().
void read_model_keys(const ConfigNode& root, Config& config) {
  const ConfigNode* section = root.find("model");
  if (section == nullptr) return;
  for (const auto& [name, node] : section->entries) {
    if (name == "type" || name == "from") continue;
    config.model.keys[name] = model_value(node, "model." + name);
    config.origins["model." + name] = node.where;
  }
}

void check_model_type(const ConfigNode& root, const Config& config) {
  const ConfigNode* type = find_path(root, "model.type");
  if (type != nullptr) {
    const auto& types = model_types();
    if (std::find(types.begin(), types.end(), config.model.type) == types.end()) {
      const std::string near = nearest(config.model.type, types);
      refuse_value(*type, "model.type",
                   one_of(types) + (near.empty() ? "" : "; did you mean " + near + "?"));
    }
  }
}

void check_required(const std::vector<ConfigKey>& keys, const Config& config,
                    const ConfigNode& root) {
  for (const ConfigKey& key : keys) {
    if (key.required && !config.origins.contains(key.path)) {
      throw InputError(fmt::format("{}: {} is missing", root.where, key.path),
                       fmt::format("{}: {}", key.doc, key.wanted));
    }
  }
  if (config.model.type.empty() == config.model.from.empty()) {
    const bool both = !config.model.type.empty();
    throw InputError(
        both ? fmt::format("{}: model.from beside model.type", config.origins.at("model.from"))
             : fmt::format("{}: model is missing", root.where),
        "write model: {type: bert, hidden_size: ...} for a new model, or "
        "model: {from: MODEL_DIR} to go on with one");
  }
}

}  // namespace

std::string Config::at(const std::string& key) const {
  const auto it = origins.find(key);
  return it == origins.end() || it->second == kDerived ? "" : it->second + ": ";
}

std::string Config::named(const std::string& key) const {
  return at(key).empty() ? key : key_at(origins.at(key), key);
}

bool Config::derived(const std::string& key) const {
  const auto it = origins.find(key);
  return it != origins.end() && it->second == kDerived;
}

Config config_from_tree(const ConfigNode& root) {
  Config config;
  const std::vector<ConfigKey> keys = config_keys(config);
  const auto read = [&](const ConfigKey& key) {
    const ConfigNode* node = find_path(root, key.path);
    if (node == nullptr) return;
    key.read(*node);
    config.origins[key.path] = node->where;
  };
  for (const ConfigKey& key : keys) {
    if (key.path == "model.type") read(key);  // decides which keys `model` has
  }
  check_model_type(root, config);
  check_names(root, known_paths(keys, config));
  for (const ConfigKey& key : keys) read(key);
  read_model_keys(root, config);
  check_required(keys, config, root);
  return config;
}

Config read_config(const std::filesystem::path& file, const std::vector<std::string>& sets) {
  ConfigNode root = read_config_tree(file);
  root.where = file.string();
  for (const std::string& assignment : sets) set_in_tree(root, assignment);
  return config_from_tree(root);
}

}  // namespace weft
