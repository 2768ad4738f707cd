// A configuration as a list: each key with its value and where that came from.
#pragma once

#include <string>
#include <vector>

#include "launch/config/config.hpp"

namespace weft {

struct ConfigEntry {
  std::string path;  // "optimizer.lr"
  Json value;
  std::string origin;  // "configs/bert.yaml:12", "--set optimizer.lr", "derived", "default"
  bool training;       // a change of it changes the training: see ConfigKey::Effect

  bool derived() const { return origin == kDerived; }
};

// All keys in the order of the sections, those of the model's family behind model.from. Keys that
// derive and have no value yet are left out.
std::vector<ConfigEntry> config_entries(const Config& config);

// "optimizer" of "optimizer.lr"; "" of a key that is in no section.
std::string section_of(const std::string& path);

}  // namespace weft
