// The training loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/data/loader.hpp"
#include "core/optim/optimizer.hpp"
#include "core/optim/schedule.hpp"
#include "launch/cli.hpp"
#include "launch/config/config.hpp"
#include "launch/profile/step_recorder.hpp"
#include "launch/training/resume_point.hpp"
#include "launch/training/step.hpp"
#include "launch/training/training_log.hpp"
#include "models/task.hpp"
#include "parallel/data_parallel.hpp"

namespace weft {

// What training works on; all of it outlives the trainer.
struct TrainingJob {
  const Config& config;
  Mesh& mesh;
  const Tokenizer& tokenizer;
  const Dataset& train;
  const Dataset* eval;  // may be null
  PretrainingModel& model;
  Optimizer& optimizer;  // of the model
  const Console& console;
  bool json;
  std::int64_t profile = 0;   // steps to profile, on a CPU; 0: none
  std::string products = {};  // what is to be said of the kernels of products; may be ""
};

// All functions are collective over the world.
class Trainer {
 public:
  // Starts a run, or continues one from `point`, whose weights and moments are loaded. The run's
  // directory is prepared.
  Trainer(const TrainingJob& job, const std::optional<ResumePoint>& point);

  // Trains to the last step. kDone, or kStopped when a rank was asked to stop: after saving.
  ExitStatus run();

 private:
  std::optional<StepReport> next_step(Loader& loader);
  StepReport take_step(const std::vector<Batch>& batches, const StepFacts& facts);
  void tell_profile(const Timeline& timeline);
  void update(const StepReport& report, double loss_scale);
  void skip();
  std::string first_bad_gradient() const;
  LoaderOptions loader_options(std::int64_t first_sample) const;
  bool due(std::int64_t every) const { return every > 0 && state_.step % every == 0; }
  bool evaluation_due() const;
  bool evaluate_now();
  void save_now();  // an Error is one on all ranks
  void save_or_try_later();
  ExitStatus stop();

  TrainingJob job_;
  const Config& config_;
  std::vector<NamedParameter> parameters_;
  GradientBuckets buckets_;
  TrainingStep step_;
  Schedule schedule_;
  RunState state_;
  std::optional<TrainingLog> log_;
  std::optional<StepRecorder> recorder_;
  int skipped_in_a_row_ = 0, failed_saves_in_a_row_ = 0;
  static constexpr std::int64_t kNotSaved = -1;
  std::int64_t saved_step_ = kNotSaved;
  std::filesystem::path saved_path_;
};

}  // namespace weft
