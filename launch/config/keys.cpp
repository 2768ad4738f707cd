// The keys of a configuration.
#include "launch/config/keys.hpp"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "launch/config/values.hpp"

namespace weft {

namespace {

constexpr std::int64_t kManySteps = 1'000'000'000;
constexpr auto kHarmless = ConfigKey::Effect::harmless;
constexpr auto kTraining = ConfigKey::Effect::training;

const Choices<SentenceTask> kSentenceTasks = {
    {"none", SentenceTask::none}, {"nsp", SentenceTask::nsp}, {"sop", SentenceTask::sop}};
const Choices<ObjectiveType> kObjectives = {{"mlm", ObjectiveType::mlm}};
const Choices<OptimizerType> kOptimizers = {{"adamw", OptimizerType::adamw},
                                            {"lamb", OptimizerType::lamb}};
const Choices<ScheduleType> kSchedules = {{"constant", ScheduleType::constant},
                                          {"linear", ScheduleType::linear},
                                          {"polynomial", ScheduleType::polynomial},
                                          {"cosine", ScheduleType::cosine},
                                          {"wsd", ScheduleType::wsd}};
const Choices<DType> kPrecisions = {
    {"fp32", DType::f32}, {"bf16", DType::bf16}, {"fp16", DType::f16}};
const Choices<Recompute> kRecomputes = {{"none", Recompute::none}, {"full", Recompute::full}};

void add_run_and_data(std::vector<ConfigKey>& keys, Config& c) {
  keys.push_back(text_key("run.dir", c.run.dir, "directory of the run; it is made", kHarmless));
  keys.back().required = true;
  keys.push_back(text_key("run.name", c.run.name, "name of the run, for logs", kHarmless));
  keys.back().derived = true;
  keys.push_back(seed_key("run.seed", c.run.seed, "decides initial weights, data order and masks"));
  // What a model is, its family's keys decide; what a tokenizer is, its hash.
  keys.push_back(
      text_key("model.type", c.model.type, "model family, as in config.json", kHarmless));
  keys.push_back(text_key("model.from", c.model.from,
                          "MODEL_DIR whose weights training starts from", kHarmless));
  keys.push_back(text_key("tokenizer", c.tokenizer, "directory of the tokenizer", kHarmless));
  keys.back().required = true;
  keys.push_back(sources_key("data.train", c.data.train, "token files to train on"));
  keys.back().required = true;
  keys.push_back(sources_key("data.eval", c.data.eval, "held-out token files to evaluate on",
                             kHarmless, true));
  keys.push_back(whole_key("data.seq_length", c.data.seq_length, {4, 65536},
                           "tokens of a sample, special ones included"));
}

void add_objective(std::vector<ConfigKey>& keys, Config& c) {
  ObjectiveOptions& o = c.objective;
  keys.push_back(choice_key("objective.type", o.type, kObjectives, "what is predicted"));
  keys.push_back(
      choice_key("objective.sentence", o.sentence, kSentenceTasks, "task on pairs of segments"));
  keys.push_back(real_key("objective.mask_probability", o.mask_probability, above(0, 1),
                          "share of the tokens that is predicted"));
  keys.push_back(flag_key("objective.whole_word", o.whole_word, "mask all pieces of a word"));
  keys.push_back(whole_key("objective.max_predictions", o.max_predictions, {0, 65536},
                           "most predicted tokens of a sample; 0: no bound"));
  keys.push_back(real_key("objective.short_sequence_probability", o.short_sequence_probability,
                          from(0, 1), "share of pairs cut to a random shorter length"));
}

void add_optimizer(std::vector<ConfigKey>& keys, Config& c) {
  auto& o = c.optimizer;
  keys.push_back(choice_key("optimizer.type", o.type, kOptimizers, "update rule"));
  keys.push_back(real_key("optimizer.lr", o.lr, above(0, 100), "highest learning rate"));
  keys.push_back(betas_key("optimizer.betas", o.betas, "decay of the moments"));
  keys.push_back(real_key("optimizer.eps", o.eps, above(0, 1), "added to the denominator"));
  keys.push_back(real_key("optimizer.weight_decay", o.weight_decay, from(0, 10),
                          "decoupled decay; norms and biases have none"));
  keys.push_back(real_key("optimizer.clip_norm", o.clip_norm, from(0, 1e9),
                          "largest global gradient norm; 0: no clipping"));
  keys.push_back(flag_key("optimizer.bias_correction", o.bias_correction,
                          "divide the moments by 1 - beta^t; false as in the original BERT"));
}

void add_schedule(std::vector<ConfigKey>& keys, Config& c) {
  auto& s = c.schedule;
  keys.push_back(choice_key("schedule.type", s.type, kSchedules, "decay of the learning rate"));
  keys.push_back(whole_key("schedule.warmup_steps", s.warmup_steps, {0, kManySteps},
                           "steps of linear warm-up"));
  keys.push_back(whole_key("schedule.decay_steps", s.decay_steps, {1, kManySteps},
                           "step at which the decay ends; train.steps, unless given"));
  keys.back().derived = true;
  keys.push_back(
      real_key("schedule.power", s.power, above(0, 100), "exponent of the polynomial decay"));
  keys.push_back(real_key("schedule.min_lr", s.min_lr, from(0, 100), "learning rate at the end"));
  keys.push_back(real_key("schedule.decay_fraction", s.decay_fraction, above(0, 1),
                          "wsd: share of the steps that decay"));
}

void add_train(std::vector<ConfigKey>& keys, Config& c) {
  auto& t = c.train;
  keys.push_back(
      whole_key("train.steps", t.steps, {1, kManySteps}, "steps of the whole run", kHarmless));
  keys.push_back(whole_key("train.global_batch", t.global_batch, {1, 1 << 24},
                           "samples of a step, all ranks together"));
  keys.push_back(whole_key("train.micro_batch", t.micro_batch, {1, 1 << 20},
                           "samples of one forward pass of one rank", kHarmless));
  keys.back().derived = true;
  keys.push_back(choice_key("train.precision", t.precision, kPrecisions,
                            "number format of the computation; fp16 on GPUs only"));
  keys.push_back(choice_key("train.recompute", t.recompute, kRecomputes,
                            "full: keep no activations of a layer but its input", kHarmless));
  keys.push_back(flag_key("train.cuda_graph", t.cuda_graph,
                          "GPUs: issue a step as one captured graph, which spares the host time",
                          kHarmless));
  keys.push_back(flag_key("train.deterministic", t.cuda.deterministic,
                          "GPUs: the same bits every time, for time and memory of attention",
                          kHarmless));
  keys.push_back(
      flag_key("train.tf32", t.cuda.tf32, "GPUs: products in fp32 round their operands to TF32"));
  keys.push_back(flag_key(
      "train.time_products", t.cuda.time_products,
      "GPUs: time cuBLASLt's algorithms, keep the fastest; not with tensor ranks", kHarmless));
  keys.push_back(flag_key("train.exact_attention_dropout", t.cuda.exact_attention_dropout,
                          "GPUs: attention's dropout masks as on CPUs and on any layout, slower"));
  keys.push_back(whole_key("parallel.tensor", c.parallel.tensor, {1, 4096},
                           "ranks that share one copy of the model; data = ranks / tensor",
                           kHarmless));
}

void add_records(std::vector<ConfigKey>& keys, Config& c) {
  keys.push_back(whole_key("checkpoint.every", c.checkpoint.every, {0, kManySteps},
                           "steps between checkpoints; 0: only at the end", kHarmless));
  keys.push_back(whole_key("checkpoint.keep", c.checkpoint.keep, {0, 1'000'000},
                           "newest checkpoints that stay; 0: all", kHarmless));
  keys.push_back(whole_key("log.every", c.log.every, {1, kManySteps},
                           "steps between lines of metrics.jsonl", kHarmless));
  keys.push_back(flag_key("log.tensorboard", c.log.tensorboard, "write event files", kHarmless));
  keys.push_back(real_key("log.peak_tflops", c.log.peak_tflops, from(0, 1e9),
                          "peak of one rank's device, for mfu; 0: measure it", kHarmless));
  keys.push_back(whole_key("eval.every", c.eval.every, {0, kManySteps},
                           "steps between evaluations; 0: only at the end", kHarmless));
  keys.push_back(whole_key("eval.batches", c.eval.batches, {1, 1'000'000},
                           "batches of train.global_batch samples per evaluation", kHarmless));
}

}  // namespace

std::vector<ConfigKey> config_keys(Config& config) {
  std::vector<ConfigKey> keys;
  add_run_and_data(keys, config);
  add_objective(keys, config);
  add_optimizer(keys, config);
  add_schedule(keys, config);
  add_train(keys, config);
  add_records(keys, config);
  return keys;
}

}  // namespace weft
