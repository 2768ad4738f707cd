// What a training run tells: metrics, events, log lines and progress.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "launch/config/config.hpp"
#include "launch/console.hpp"
#include "launch/training/evaluator.hpp"
#include "launch/training/metrics.hpp"
#include "launch/training/run_state.hpp"
#include "launch/training/step.hpp"

namespace weft {

// One finished step.
struct StepReport {
  std::vector<TermTotal> totals;  // of this rank
  double grad_norm = 0, lr = 0;
  double seconds = 0;
  double flops = 0;         // of all ranks
  std::int64_t tokens = 0;  // of all ranks
};

// Rank 0 writes and prints. A run that resumes appends to its records.
class TrainingLog {
 public:
  // Cuts the records of steps after `state`. `json`: metrics go to stdout too.
  TrainingLog(const Config& config, const RunState& state, Mesh& mesh, const Console& console,
              bool json);
  // Writes what waits for a full disk, or warns that it is lost.
  ~TrainingLog();
  TrainingLog(const TrainingLog&) = delete;
  TrainingLog& operator=(const TrainingLog&) = delete;

  // Every step: shows progress, and adds to the means over the interval between two records.
  void add(const RunState& state, const StepReport& report);
  // A line of metrics. The losses are those of the last step over the global batch. Collective.
  void record(const RunState& state, StepReport report);
  void record(const RunState& state, const Evaluation& evaluation);
  // The most memory that a rank's tensors took, and for what. Collective.
  void tell_memory();
  void clear_progress() { progress_.clear(); }  // before something else is printed
  void end_progress() { progress_.finish(); }
  // A line for people: to the console and log.txt.
  void say(const std::string& line);
  void warn(const std::string& line);

 private:
  void write(const Json& values);
  void warn_once_of(const std::string& failure);

  const Console* console_;
  Mesh* mesh_;
  bool json_;
  double peak_flops_;                    // of all ranks together; 0: unknown
  std::unique_ptr<RunRecords> records_;  // rank 0
  Progress progress_;
  std::string note_;
  bool behind_ = false;  // records wait for a disk that takes them
  struct {
    double seconds = 0, flops = 0;
    std::int64_t tokens = 0;
  } interval_;
};

// "eval_loss 9.1, perplexity 4521": for messages.
std::string describe(const Evaluation& evaluation);

}  // namespace weft
