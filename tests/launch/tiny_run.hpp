// A tiny corpus, tokenizer and configuration, made once per test program, for runs of the binary.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/json.hpp"
#include "tests/launch/run_program.hpp"

namespace weft {

// Removed when the test program ends.
struct Workspace {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("weft-launch-test-" + std::to_string(getpid()));
  Workspace() {
    std::filesystem::create_directories(path);
    setenv("XDG_CACHE_HOME", (path / "cache").c_str(), 1);  // what users remember is not for tests
  }
  ~Workspace() { std::filesystem::remove_all(path); }
};

inline const std::filesystem::path& workspace() {
  static const Workspace space;
  return space.path;
}

inline void make_data(const std::filesystem::path& dir) {
  const std::filesystem::path corpus = std::filesystem::path(WEFT_TEST_DIR) / "data/corpus";
  std::filesystem::copy(corpus / "tokenizer", dir / "tokenizer");
  const ProgramResult r = run_shell(
      "cd " + dir.string() + " && \"$WEFT\" prepare --tokenizer tokenizer --output train " +
      (corpus / "train.txt").string() +
      " && \"$WEFT\" prepare --tokenizer tokenizer --output held-out " +
      (corpus / "held_out.txt").string());
  ASSERT_EQ(r.status, 0) << r.err;
}

// Where tokenizer/, train.bin/.idx, held-out.bin/.idx lie; made by the binary at first
// use.
inline const std::filesystem::path& tiny_data() {
  static const std::filesystem::path dir = [] {
    const std::filesystem::path path = workspace() / "data";
    std::filesystem::create_directories(path);
    make_data(path);
    return path;
  }();
  return dir;
}

// A new empty directory below the test program's own one; all are removed at its end.
inline std::filesystem::path new_directory(const std::string& name) {
  static int number = 0;
  const std::filesystem::path path = workspace() / (name + "-" + std::to_string(number++));
  std::filesystem::create_directories(path);
  return path;
}

// The lines of a configuration that trains for 20 steps into run_dir. Line 1 is element 0.
inline std::vector<std::string> tiny_config(const std::filesystem::path& run_dir) {
  const std::string data = tiny_data().string();
  return {"run: {dir: " + run_dir.string() + ", seed: 7}",
          "model: {type: bert, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, "
          "intermediate_size: 64, max_position_embeddings: 64}",
          "tokenizer: " + data + "/tokenizer",
          "data:",
          "  train: [{path: " + data + "/train}]",
          "  eval: [{path: " + data + "/held-out}]",
          "  seq_length: 32",
          "objective: {type: mlm, sentence: nsp}",
          "optimizer: {type: adamw, lr: 1.0e-3}",
          "schedule: {type: linear, warmup_steps: 2}",
          "train: {steps: 20, global_batch: 8, micro_batch: 2, precision: fp32}",
          "checkpoint: {every: 10, keep: 2}",
          "log: {every: 1, peak_tflops: 1}",
          "eval: {every: 10, batches: 2}"};
}

// Writes lines to a file in a new directory and returns its path.
inline std::filesystem::path write_config(const std::vector<std::string>& lines) {
  const std::filesystem::path file = new_directory("config") / "run.yaml";
  std::ofstream out(file);
  for (const std::string& line : lines) out << line << "\n";
  return file;
}

// The objects of a metrics.jsonl that have `key`, by step.
inline std::map<std::int64_t, Json> read_metrics(const std::filesystem::path& run_dir,
                                                 const std::string& key) {
  std::map<std::int64_t, Json> lines;
  std::ifstream file(run_dir / "metrics.jsonl");
  std::string line;
  while (std::getline(file, line)) {
    const Json values = parse_json(line, "metrics.jsonl");
    if (values.contains(key)) lines[values["step"].get<std::int64_t>()] = values;
  }
  return lines;
}

// An environment variable of this program, and of what it starts, while this object lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* const before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

// mpirun with what tests need.
inline std::string mpirun(int ranks) {
  return "OMP_NUM_THREADS=1 mpirun --allow-run-as-root --oversubscribe --bind-to none -np " +
         std::to_string(ranks) + " ";
}

}  // namespace weft
