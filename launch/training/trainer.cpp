// The training loop.
#include "launch/training/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "core/backend/cuda.hpp"
#include "core/backend/range.hpp"
#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"
#include "core/base/plural.hpp"
#include "core/optim/clip.hpp"
#include "launch/config/compare.hpp"
#include "launch/failure.hpp"
#include "launch/profile/report.hpp"
#include "launch/profile/step_profile.hpp"
#include "launch/training/checkpointing.hpp"
#include "launch/training/optimization.hpp"
#include "launch/training/stop_signal.hpp"

namespace weft {

namespace {

constexpr int kMaxSkippedInARow = 10;
constexpr int kMaxFailedSavesInARow = 3;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool on_gpu(Mesh& mesh) { return mesh.device().type == DeviceType::cuda; }

// Ranks that send through host memory are a matter of the host, too.
bool can_capture(Mesh& mesh) { return on_gpu(mesh) && mesh.world().capturable(); }

StepOptions step_options(const Config& config, Mesh& mesh) {
  return {.seed = config.run.seed,
          .recompute = config.train.recompute == Recompute::full,
          .device_graph = config.train.cuda_graph && can_capture(mesh)};
}

}  // namespace

Trainer::Trainer(const TrainingJob& job, const std::optional<ResumePoint>& point)
    : job_(job),
      config_(job.config),
      parameters_(parameters(job.model)),
      buckets_(parameters_, job.mesh),
      step_(job.model, buckets_, job.mesh, step_options(job.config, job.mesh)),
      schedule_(make_schedule(job.config)) {
  if (point) {
    state_ = point->state;
    if (point->own) {
      saved_step_ = state_.step;
      saved_path_ = point->checkpoint;
    }
  }
  state_.tokenizer_hash = job.tokenizer.hash();
  state_.config = training_values(config_);
  if (config_.train.precision != DType::f16) {
    state_.loss_scaler.reset();
  } else if (!state_.loss_scaler) {
    state_.loss_scaler.emplace();
  }
  log_.emplace(config_, state_, job.mesh, job.console, job.json);
  if (!job.products.empty()) log_->say(job.products);
  if (config_.train.cuda_graph && on_gpu(job.mesh) && !can_capture(job.mesh)) {
    log_->warn("train.cuda_graph is left out: ranks that share a GPU cannot capture their steps");
  }
  if (job.profile > 0) recorder_.emplace(state_.step, job.profile);
}

ExitStatus Trainer::run() {
  const double start = now() - state_.seconds;
  if (evaluation_due() && !evaluate_now()) return stop();
  Loader loader(job_.train, loader_options(state_.samples));
  bool first_step_of_start = true;
  while (state_.step < config_.train.steps) {
    if (recorder_) recorder_->before(state_.step + 1);
    std::optional<StepReport> taken = next_step(loader);
    if (!taken) return stop();
    StepReport& report = *taken;
    state_.seconds = now() - start;
    log_->add(state_, report);
    if (recorder_) {
      if (const auto timeline = recorder_->after(state_.step)) tell_profile(*timeline);
    }
    if (first_step_of_start) log_->tell_memory();
    first_step_of_start = false;
    for (const std::string& notice : take_cuda_notices()) log_->say(notice);
    const bool last = state_.step == config_.train.steps;
    if (last || due(config_.log.every)) log_->record(state_, std::move(report));
    if (evaluation_due() && !evaluate_now()) return stop();
    if (due(config_.checkpoint.every) && !last) save_or_try_later();
  }
  log_->end_progress();
  save_now();
  log_->tell_memory();
  log_->say(fmt::format("finished: {}, {} tokens, {}; the model is in {}",
                        counted(state_.step, "step"),
                        short_number(static_cast<double>(state_.tokens)), duration(state_.seconds),
                        saved_path_.string()));
  return kDone;
}

// Nothing when a rank was asked to stop.
std::optional<StepReport> Trainer::next_step(Loader& loader) {
  const Range range(kStepRange);
  const double start = now();
  const auto batches = [&] {
    const Range wait("wait for the loader");
    return loader.next();
  }();
  const StepFacts facts = [&] {
    const Range agreement("agree on the step");
    return agree_on_step(job_.model, batches, stop_requested(), job_.mesh);
  }();
  if (facts.stop) return std::nullopt;
  StepReport report = take_step(batches, facts);
  report.seconds = now() - start;
  return report;
}

StepReport Trainer::take_step(const std::vector<Batch>& batches, const StepFacts& facts) {
  const double loss_scale = state_.loss_scaler ? state_.loss_scaler->scale : 1;
  const StepResult result = step_.take(batches, facts, state_.step, loss_scale);
  if (result.was_captured) {
    log_->say(
        fmt::format("step {} was captured as a graph, which later steps launch", state_.step + 1));
  }
  StepReport report;
  report.totals = result.totals;
  report.grad_norm = result.grad_norm;
  report.lr = schedule_.lr(state_.step);
  const bool finite = std::isfinite(report.grad_norm);
  const bool by_scale = state_.loss_scaler && state_.loss_scaler->update(finite) && !finite;
  if (finite) {
    update(report, loss_scale);
  } else if (by_scale) {
    log_->say(
        fmt::format("step {}: a gradient is beyond fp16; this step is skipped, the loss scale "
                    "is {} from now on",
                    state_.step + 1, state_.loss_scaler->scale));
  } else {
    skip();
  }
  const auto samples = static_cast<double>(config_.train.global_batch);
  const double masked = facts.counts.empty() ? 0 : static_cast<double>(facts.counts[0]) / samples;
  report.flops = samples * job_.model.flops_per_sample(config_.data.seq_length, masked);
  report.tokens = facts.tokens;
  state_.step += 1;
  state_.samples += config_.train.global_batch;
  state_.tokens += facts.tokens;
  return report;
}

void Trainer::update(const StepReport& report, double loss_scale) {
  const Range range("optimizer");
  state_.updates += 1;
  skipped_in_a_row_ = 0;
  const double clip = clip_scale(report.grad_norm, config_.optimizer.clip_norm);
  job_.optimizer.step(buckets_.gradients(),
                      {.lr = report.lr, .grad_scale = clip / loss_scale, .update = state_.updates});
}

void Trainer::tell_profile(const Timeline& timeline) {
  log_->clear_progress();
  const ProfileReport report{.first_step = recorder_->first(),
                             .rank = job_.mesh.world().rank(),
                             .ranks = job_.mesh.world().size(),
                             .json = job_.json};
  tell(report, timeline, config_.run.dir, job_.console);
}

// A gradient that is not finite leaves weights and moments as they are, on all ranks.
void Trainer::skip() {
  const std::string where = first_bad_gradient();
  log_->warn(fmt::format("step {}: the gradient of {} is not finite; this step is skipped",
                         state_.step + 1, where));
  if (++skipped_in_a_row_ < kMaxSkippedInARow) return;
  throw AgreedError(
      fmt::format("{} steps in a row had gradients that are not finite, the last in {}",
                  skipped_in_a_row_, where),
      "resume from the newest checkpoint with a lower optimizer.lr or a longer "
      "schedule.warmup_steps (--force accepts the change)");
}

// The first parameter, in the order of the model, with a bad value on any rank.
std::string Trainer::first_bad_gradient() const {
  const std::vector<double> squares = squared_norms(buckets_.gradients());
  const auto bad = std::find_if(squares.begin(), squares.end(),
                                [](double square) { return !std::isfinite(square); });
  const std::ptrdiff_t i = bad - squares.begin();
  const auto first = static_cast<std::size_t>(
      job_.mesh.world().all_reduce(static_cast<std::int64_t>(i), ReduceOp::min));
  return first < parameters_.size() ? parameters_[first].name : "all parameters together";
}

LoaderOptions Trainer::loader_options(std::int64_t first_sample) const {
  return {.global_batch = config_.train.global_batch,
          .micro_batch = config_.train.micro_batch,
          .data_rank = job_.mesh.data().rank(),
          .data_ranks = job_.mesh.data().size(),
          .first_sample = first_sample,
          .fixed_shapes = on_gpu(job_.mesh)};
}

bool Trainer::evaluation_due() const {
  return job_.eval != nullptr && state_.evaluated_step != state_.step &&
         (state_.step == 0 || state_.step == config_.train.steps || due(config_.eval.every));
}

// False when a rank was asked to stop meanwhile: then the next start evaluates.
bool Trainer::evaluate_now() {
  const auto anyone_stops = [&] {
    const std::int64_t asked = stop_requested() ? 1 : 0;
    return job_.mesh.world().all_reduce(asked, ReduceOp::max) != 0;
  };
  const auto evaluation = evaluate(job_.model, *job_.eval, loader_options(0), config_.eval.batches,
                                   job_.mesh, anyone_stops);
  if (!evaluation) return false;
  log_->record(state_, *evaluation);
  state_.evaluated_step = state_.step;
  saved_step_ = kNotSaved;  // a checkpoint of this step does not know of the evaluation
  return true;
}

void Trainer::save_now() {
  if (saved_step_ == state_.step) return;
  const SavedCheckpoint saved =
      save_run(checkpoints_of(config_.run.dir), {job_.model, job_.optimizer}, state_,
               job_.tokenizer, job_.mesh, static_cast<int>(config_.checkpoint.keep));
  saved_step_ = state_.step;
  saved_path_ = saved.path;
  for (const std::string& warning : saved.warnings) log_->warn(warning);
  log_->say("saved " + saved.path.string());
}

// A disk that is full now may have room at the next save: training goes on meanwhile. What went
// wrong on one rank alone is no such matter, and ends the run.
void Trainer::save_or_try_later() {
  try {
    save_now();
    failed_saves_in_a_row_ = 0;
  } catch (const AgreedError& e) {
    if (++failed_saves_in_a_row_ == kMaxFailedSavesInARow) {
      throw AgreedError(
          fmt::format("{} saves in a row failed, the last: {}", failed_saves_in_a_row_, e.what()),
          "the newest complete checkpoint is untouched: mend the cause, then start the same "
          "command again");
    }
    log_->warn(
        fmt::format("step {} was not saved: {}; training goes on, the next save is {} steps "
                    "ahead",
                    state_.step, e.what(), config_.checkpoint.every));
  }
}

ExitStatus Trainer::stop() {
  log_->end_progress();
  const std::string signal = stop_signal_name();
  log_->say(fmt::format("stopping after step {}{}", state_.step,
                        signal.empty() ? " as another rank was asked to" : ": " + signal));
  save_now();
  log_->say(fmt::format("to continue: weft pretrain {}/config.yaml", config_.run.dir));
  return kStopped;
}

}  // namespace weft
