// Typed values of a configuration: from a node's text to a field, and back to JSON.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "launch/config/keys.hpp"

namespace weft {

using Effect = ConfigKey::Effect;

struct WholeRange {
  std::int64_t min, max;
};
struct RealRange {
  double min, max;
  bool open;  // min itself is not allowed
};
inline RealRange above(double min, double max) { return {min, max, true}; }
inline RealRange from(double min, double max) { return {min, max, false}; }

template <class E>
using Choices = std::vector<std::pair<std::string, E>>;

// Each binds one key to a field, which must outlive it.
ConfigKey text_key(std::string path, std::string& field, std::string doc,
                   Effect effect = Effect::training);
ConfigKey flag_key(std::string path, bool& field, std::string doc,
                   Effect effect = Effect::training);
ConfigKey whole_key(std::string path, std::int64_t& field, WholeRange range, std::string doc,
                    Effect effect = Effect::training);
ConfigKey seed_key(std::string path, std::uint64_t& field, std::string doc);
ConfigKey real_key(std::string path, double& field, RealRange range, std::string doc,
                   Effect effect = Effect::training);
ConfigKey betas_key(std::string path, std::array<double, 2>& field, std::string doc);
ConfigKey sources_key(std::string path, std::vector<DataSource>& field, std::string doc,
                      Effect effect = Effect::training, bool may_be_empty = false);

// The position of the node's text among `names`; throws InputError with the nearest or all names.
std::size_t read_choice(const ConfigNode& node, const std::string& path,
                        const std::vector<std::string>& names);
std::string one_of(const std::vector<std::string>& names);

template <class E>
ConfigKey choice_key(std::string path, E& field, const Choices<E>& choices, std::string doc,
                     Effect effect = Effect::training) {
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) names.push_back(name);
  ConfigKey key{.path = path, .doc = std::move(doc), .wanted = one_of(names), .effect = effect};
  key.read = [path, names, &field, &choices](const ConfigNode& node) {
    field = choices[read_choice(node, path, names)].second;
  };
  key.value = [&field, &choices] {
    const auto it = std::find_if(choices.begin(), choices.end(),
                                 [&](const auto& choice) { return choice.second == field; });
    return it == choices.end() ? Json() : Json(it->first);
  };
  return key;
}

// A value of a model's own key, whose type its family checks: true and false are flags, what reads
// as a number is one, all else is text.
Json model_value(const ConfigNode& node, const std::string& path);

// A value as YAML on one line; it reads back to the same.
std::string yaml_value(const Json& value);

}  // namespace weft
