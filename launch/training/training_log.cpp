// What a training run tells.
#include "launch/training/training_log.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "core/tensor/caching_allocator.hpp"
#include "launch/training/peak.hpp"

namespace weft {

namespace {

// "mlm_loss": 6.1, "mlm_accuracy": 0.08 ..., each with `prefix` in front.
void add_terms(Json& values, const std::vector<TermTotal>& terms, const std::string& prefix) {
  values[prefix + "loss"] = total_loss(terms);
  for (const TermTotal& t : terms) values[prefix + t.name + "_loss"] = t.mean();
  for (const TermTotal& t : terms) values[prefix + t.name + "_accuracy"] = t.accuracy();
}

double perplexity(const Evaluation& e) {
  return e.terms.empty() ? 0 : std::exp(e.terms.front().mean());
}

std::string losses(const std::vector<TermTotal>& terms) {
  std::string text = fmt::format("loss {:.4f}", total_loss(terms));
  if (terms.size() < 2) return text;
  std::string parts;
  for (const TermTotal& t : terms) {
    parts += fmt::format("{}{} {:.4f}", parts.empty() ? "" : ", ", t.name, t.mean());
  }
  return text + " (" + parts + ")";
}

double peak_of(const Config& config, Mesh& mesh) {
  const double own = config.log.peak_tflops > 0 ? config.log.peak_tflops * 1e12
                                                : peak_flops(config.train.precision, mesh.device(),
                                                             config.train.cuda.tf32);
  return mesh.world().all_reduce(own, ReduceOp::sum);
}

// The most that a rank had in use, and the most of each kind that it had, not all at one time.
struct PeakMemory {
  std::int64_t bytes = 0;
  std::array<std::int64_t, kMemoryUses> by_use = {};
};

PeakMemory peak_memory(Mesh& mesh) {
  const CachingAllocator& memory = caching_allocator(mesh.device());
  Communicator& world = mesh.world();
  const auto own = static_cast<std::int64_t>(memory.stats().peak);
  PeakMemory peak{.bytes = world.all_reduce(own, ReduceOp::max)};
  const std::int64_t none = world.size();
  const std::int64_t rank =
      world.all_reduce(own == peak.bytes ? world.rank() : none, ReduceOp::min);
  const BytesByUse by_use = memory.peaks_by_use();
  if (rank == world.rank()) std::copy(by_use.begin(), by_use.end(), peak.by_use.begin());
  world.all_reduce(peak.by_use, ReduceOp::sum);
  return peak;
}

}  // namespace

TrainingLog::TrainingLog(const Config& config, const RunState& state, Mesh& mesh,
                         const Console& console, bool json)
    : console_(&console),
      mesh_(&mesh),
      json_(json),
      peak_flops_(peak_of(config, mesh)),
      progress_(console, config.run.name, static_cast<double>(config.train.steps), "steps") {
  if (mesh.world().rank() == 0) {
    records_ = std::make_unique<RunRecords>(
        config.run.dir, RecordOptions{.tensorboard = config.log.tensorboard,
                                      .first_step = state.step,
                                      .first_evaluation = state.evaluated_step});
  }
  progress_.start_at(static_cast<double>(state.step));
}

void TrainingLog::add(const RunState& state, const StepReport& report) {
  interval_.seconds += report.seconds;
  interval_.flops += report.flops;
  interval_.tokens += report.tokens;
  progress_.update(static_cast<double>(state.step), note_);
}

void TrainingLog::record(const RunState& state, StepReport report) {
  reduce_totals(report.totals, *mesh_);
  const PeakMemory memory = peak_memory(*mesh_);
  const double rate = static_cast<double>(interval_.tokens) / interval_.seconds;
  const double mfu = interval_.flops / interval_.seconds / peak_flops_;
  interval_ = {};
  if (!records_) return;
  Json values = {{"step", state.step}, {"samples", state.samples}, {"tokens", state.tokens}};
  add_terms(values, report.totals, "");
  values["lr"] = report.lr;
  values["grad_norm"] = std::isfinite(report.grad_norm) ? Json(report.grad_norm) : Json();
  if (state.loss_scaler) values["loss_scale"] = state.loss_scaler->scale;
  values["tokens_per_second"] = rate;
  values["mfu"] = std::isfinite(mfu) && mfu > 0 ? Json(mfu) : Json();
  values["memory_bytes"] = memory.bytes;
  for (std::size_t i = 0; i < kMemoryUses; ++i) {
    values[fmt::format("memory_{}_bytes", kMemoryUseNames[i])] = memory.by_use[i];
  }
  values["seconds"] = state.seconds;
  write(values);
  note_ = fmt::format("{}, {} tokens/s", losses(report.totals), short_number(rate));
  records_->log(fmt::format("step {}: {}, lr {:.3g}, gradient norm {:.3g}", state.step, note_,
                            report.lr, report.grad_norm));
}

void TrainingLog::record(const RunState& state, const Evaluation& evaluation) {
  if (!records_) return;
  Json values = {{"step", state.step}};
  add_terms(values, evaluation.terms, "eval_");
  values["eval_perplexity"] = perplexity(evaluation);
  values["eval_seconds"] = evaluation.seconds;
  write(values);
  say(fmt::format("step {}: {}", state.step, describe(evaluation)));
}

void TrainingLog::tell_memory() {
  const PeakMemory peak = peak_memory(*mesh_);
  const auto megabytes = [](std::int64_t bytes) {
    return fmt::format("{:.1f} MB", static_cast<double>(bytes) * 1e-6);
  };
  std::string parts;
  for (std::size_t i = 0; i < kMemoryUses; ++i) {
    parts +=
        fmt::format("{}{} {}", i == 0 ? "" : ", ", kMemoryUseNames[i], megabytes(peak.by_use[i]));
  }
  say(fmt::format("memory of tensors: {} at most{}; of each kind at most: {}",
                  megabytes(peak.bytes),
                  mesh_->world().size() > 1 ? ", on the rank with the most" : "", parts));
}

void TrainingLog::say(const std::string& line) {
  if (records_) records_->log(line);
  progress_.clear();
  console_->info(line);
}

void TrainingLog::warn(const std::string& line) {
  if (records_) records_->log("warning: " + line);
  progress_.clear();
  console_->warn(line);
}

TrainingLog::~TrainingLog() {
  if (!records_) return;
  try {
    records_->flush();
    const std::string failure = records_->failure();
    if (!failure.empty()) console_->warn(failure + "; the last records of this run are lost");
  } catch (const std::exception&) {  // out of memory, at the end: nobody left to tell
  }
}

void TrainingLog::write(const Json& values) {
  records_->metrics(values);
  warn_once_of(records_->failure());
  if (!json_) return;
  progress_.clear();
  console_->result(values.dump());
}

// A full disk need not end the run; it is told when it begins.
void TrainingLog::warn_once_of(const std::string& failure) {
  if (!failure.empty() && !behind_) warn(failure + "; records wait in memory meanwhile");
  behind_ = !failure.empty();
}

std::string describe(const Evaluation& e) {
  std::string text = "held-out " + losses(e.terms);
  text += fmt::format(", perplexity {:.2f}", perplexity(e));
  for (const TermTotal& t : e.terms) {
    text += fmt::format(", {} accuracy {:.1f}%", t.name, 100 * t.accuracy());
  }
  return text;
}

}  // namespace weft
