// A configuration file as a tree of texts with their places; nothing is typed yet.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft {

// Scalars keep their text: the schema decides what `no`, `010` or `1e-4` means, not a guess.
struct ConfigNode {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  std::string text;
  bool quoted = false;
  std::string where;  // "configs/bert.yaml:12", "--set optimizer.lr"
  std::vector<std::pair<std::string, ConfigNode>> entries;  // of a map, in order
  std::vector<ConfigNode> items;                            // of a list

  const ConfigNode* find(std::string_view key) const;
  ConfigNode* find(std::string_view key);
};

// "FILE:LINE: optimizer.lr"; of a key that --set names, only "--set optimizer.lr".
std::string key_at(const std::string& where, const std::string& key);

// Throws InputError "FILE:LINE: ..." for what is not YAML, and for what YAML allows but a
// configuration does not need and an attacker likes: anchors, aliases and merge keys, more than
// one document, duplicate keys, more than 64 levels, more than 1 MiB.
ConfigNode read_config_tree(const std::filesystem::path& file);
ConfigNode parse_config_tree(std::string_view text, const std::string& origin);

// Applies "a.b=VALUE": VALUE is YAML and replaces what the tree has there. Throws InputError.
void set_in_tree(ConfigNode& root, const std::string& assignment);

}  // namespace weft
