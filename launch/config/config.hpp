// The configuration of a pretraining run: typed sections, each value with where it came from.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/backend/cuda.hpp"
#include "core/base/json.hpp"
#include "core/data/dataset.hpp"
#include "core/optim/optimizer.hpp"
#include "core/optim/schedule.hpp"
#include "core/tensor/dtype.hpp"
#include "launch/config/tree.hpp"

namespace weft {

enum class Recompute { none, full };

// The origin of a value that follows from other keys.
inline constexpr const char* kDerived = "derived";

// Keys, ranges and explanations of the sections stand in keys.cpp. Zeros marked "derived"
// are filled from other keys by resolve_config().
struct Config {
  struct {
    std::string dir, name;  // name: derived
    std::uint64_t seed = 42;
  } run;
  struct {
    std::string type, from;      // one of the two
    std::string keys_from;       // the directory with the keys that belong to `from`
    Json keys = Json::object();  // as given; after resolve_config() a complete config.json
  } model;
  std::string tokenizer;
  struct {
    std::vector<DataSource> train, eval;
    std::int64_t seq_length = 128;
    std::string fingerprint;  // of train, once it is opened
  } data;
  ObjectiveOptions objective;
  struct {
    OptimizerType type = OptimizerType::adamw;
    double lr = 1e-4;
    std::array<double, 2> betas{0.9, 0.999};
    double eps = 1e-6, weight_decay = 0.01, clip_norm = 1.0;
    bool bias_correction = true;
  } optimizer;
  struct {
    ScheduleType type = ScheduleType::linear;
    std::int64_t warmup_steps = 0, decay_steps = 0;  // decay_steps: derived
    double power = 1.0, min_lr = 0;
    double decay_fraction = 0.1;
  } schedule;
  struct {
    std::int64_t steps = 1000, global_batch = 32, micro_batch = 0;  // micro_batch: derived
    DType precision = DType::f32;
    Recompute recompute = Recompute::none;
    bool cuda_graph = false;
    CudaOptions cuda;
  } train;
  struct {
    std::int64_t tensor = 1;
  } parallel;
  struct {
    std::int64_t every = 500, keep = 3;
  } checkpoint;
  struct {
    std::int64_t every = 10;
    bool tensorboard = true;
    double peak_tflops = 0;
  } log;
  struct {
    std::int64_t every = 500, batches = 50;
  } eval;

  // Where a value came from, by dotted key: "configs/bert.yaml:12", "--set optimizer.lr",
  // kDerived. A key without an entry has its default.
  std::map<std::string, std::string> origins;

  // "configs/bert.yaml:12: " if the key was given, else "": the beginning of a message about it.
  std::string at(const std::string& key) const;
  // The key with that: "configs/bert.yaml:12: optimizer.lr", "--set optimizer.lr".
  std::string named(const std::string& key) const;
  // Whether the key follows from others, as they are now.
  bool derived(const std::string& key) const;
};

// Reads a file and then the assignments of --set, in order. Checks every key and value by itself.
// Throws InputError "FILE:LINE: ..." with the nearest key or the allowed values.
Config read_config(const std::filesystem::path& file, const std::vector<std::string>& sets);
Config config_from_tree(const ConfigNode& root);

struct RunLayout {
  int ranks = 1;
};

// Fills what follows from other keys and the layout alone, for a look at a configuration whose
// tokenizer is not there yet. Throws as resolve_config().
void resolve_settings(Config& config, const RunLayout& layout);

// Fills what follows from other keys, the tokenizer and the layout; checks that all keys fit
// together. Throws InputError naming the keys and their lines. Starts and writes nothing.
void resolve_config(Config& config, const Tokenizer& tokenizer, const RunLayout& layout);

}  // namespace weft
