// What follows from several keys, the tokenizer and the layout; and contradictions between them.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/plural.hpp"
#include "launch/config/config.hpp"
#include "models/registry.hpp"

namespace weft {

namespace {

// A message about `a` that depends on `b` as well begins with the place of the first that was
// given.
std::string named(const Config& c, const std::string& a, const std::string& b) {
  return c.at(a).empty() ? c.at(b) + a : c.named(a);
}

// "(train.micro_batch: 16 at run.yaml:9)": the other side of a contradiction.
std::string other(const Config& c, const std::string& key, std::int64_t value) {
  std::string at = c.at(key);
  if (at.size() > 2) at = " at " + at.substr(0, at.size() - 2);
  return fmt::format("{}: {}{}", key, value, at);
}

void resolve_layout(Config& c, int ranks) {
  const std::int64_t t = c.parallel.tensor;
  // Ranks may keep different algorithms, and what they compute alike would round apart.
  if (t > 1 && c.train.cuda.time_products && !c.train.cuda.deterministic) {
    throw InputError(fmt::format("{}: true does not go with {}",
                                 named(c, "train.time_products", "parallel.tensor"),
                                 other(c, "parallel.tensor", t)),
                     "tensor ranks hold copies of the same weights, which would drift apart: leave "
                     "train.time_products out, or use parallel.tensor: 1");
  }
  if (ranks % t != 0) {
    throw InputError(fmt::format("{}: {} does not divide {}", c.named("parallel.tensor"), t,
                                 counted(ranks, "rank")),
                     ranks == 1
                         ? fmt::format("start {} ranks: mpirun -np {} weft pretrain ...", t, t)
                         : fmt::format("use a divisor of {}", ranks));
  }
}

// Products of so many rows run at full speed; more costs memory for activations.
constexpr std::int64_t kMicroBatchTokens = 2048;

// The largest divisor of a data rank's samples that has not more tokens than that.
std::int64_t default_micro_batch(std::int64_t samples, std::int64_t seq_length) {
  std::int64_t m = std::clamp<std::int64_t>(kMicroBatchTokens / seq_length, 1, samples);
  while (samples % m != 0) --m;
  return m;
}

void resolve_batch(Config& c, int ranks) {
  auto& t = c.train;
  const std::int64_t data_ranks = ranks / c.parallel.tensor;
  if (t.global_batch % data_ranks != 0) {
    throw InputError(fmt::format("{}: {} is not divisible by {}",
                                 named(c, "train.global_batch", "parallel.tensor"), t.global_batch,
                                 counted(data_ranks, "data rank")),
                     fmt::format("use a multiple of {}, such as {}", data_ranks,
                                 (t.global_batch / data_ranks + 1) * data_ranks));
  }
  const std::int64_t samples = t.global_batch / data_ranks;
  if (t.micro_batch == 0) {
    t.micro_batch = default_micro_batch(samples, c.data.seq_length);
    c.origins["train.micro_batch"] = kDerived;
  }
  if (samples % t.micro_batch != 0) {
    throw InputError(
        fmt::format("{}: {} is not divisible by {} x {}",
                    named(c, "train.global_batch", "train.micro_batch"), t.global_batch,
                    other(c, "train.micro_batch", t.micro_batch), counted(data_ranks, "data rank")),
        fmt::format(
            "use a global batch of {}, or a micro-batch of {}",
            (t.global_batch / (t.micro_batch * data_ranks) + 1) * t.micro_batch * data_ranks,
            default_micro_batch(samples, c.data.seq_length)));
  }
}

void resolve_schedule(Config& c) {
  auto& s = c.schedule;
  if (s.decay_steps == 0) {
    s.decay_steps = std::max(c.train.steps, s.warmup_steps);  // a short trial may end in warm-up
    c.origins["schedule.decay_steps"] = kDerived;
  }
  if (s.warmup_steps > s.decay_steps) {
    throw InputError(fmt::format("{}: {} is more than {}",
                                 named(c, "schedule.warmup_steps", "schedule.decay_steps"),
                                 s.warmup_steps, other(c, "schedule.decay_steps", s.decay_steps)),
                     "warm-up is a part of the schedule: use fewer steps of it");
  }
  if (s.min_lr > c.optimizer.lr) {
    throw InputError(
        fmt::format("{}: {} is above optimizer.lr: {}", named(c, "schedule.min_lr", "optimizer.lr"),
                    s.min_lr, c.optimizer.lr),
        "the schedule decays from optimizer.lr down to schedule.min_lr");
  }
}

void resolve_records(Config& c) {
  if (c.run.name.empty()) {
    c.run.name = std::filesystem::path(c.run.dir).lexically_normal().filename().string();
    if (c.run.name.empty()) c.run.name = "run";
    c.origins["run.name"] = kDerived;
  }
  if (c.data.eval.empty()) {
    const bool unasked = c.at("data.eval").empty();
    if (unasked && !c.at("eval.every").empty() && c.eval.every > 0) {
      throw InputError(
          fmt::format("{}: {} without data.eval", c.named("eval.every"), c.eval.every),
          "name held-out token files: data: {eval: [{path: data/held-out}]}; or do without: "
          "eval.every: 0");
    }
    c.eval.every = 0;
    c.origins["eval.every"] = kDerived;
  }
}

// What a family says about "model.KEY: ..." gets the place of the key in front.
template <class Work>
void with_place(const Config& c, Work work) {
  try {
    work();
  } catch (const InputError& e) {
    const std::string message = e.what();
    const std::string key = message.substr(0, message.find(':'));
    if (!key.starts_with("model.")) throw InputError(c.at("model.from") + message, e.hint());
    throw InputError(named(c, key, "model.from") + message.substr(key.size()), e.hint());
  }
}

void set_vocabulary(Config& c, Json& model, const Tokenizer& tokenizer) {
  const std::int64_t size = tokenizer.vocab_size();
  const bool whole = model.contains("vocab_size") && model["vocab_size"].is_number_integer();
  if (whole && model["vocab_size"].get<std::int64_t>() != size) {
    throw InputError(fmt::format("{}: {} but the tokenizer {} has {} tokens",
                                 named(c, "model.vocab_size", "tokenizer"),
                                 model["vocab_size"].get<std::int64_t>(), c.tokenizer, size),
                     "leave model.vocab_size out, or name the tokenizer that fits");
  }
  const auto derive = [&](const char* key, std::int64_t value) {
    if (model.contains(key)) return;
    model[key] = value;
    c.origins[std::string("model.") + key] = kDerived;
  };
  derive("vocab_size", size);
  if (tokenizer.special().pad >= 0) derive("pad_token_id", tokenizer.special().pad);
}

void resolve_model(Config& c, const Tokenizer& tokenizer) {
  Json model = c.model.keys;
  if (!c.model.from.empty()) {
    with_place(
        c, [&] { model = read_json(std::filesystem::path(c.model.keys_from) / "config.json"); });
  } else {
    model["model_type"] = c.model.type;
  }
  set_vocabulary(c, model, tokenizer);
  with_place(c, [&] {
    c.model.keys = pretraining_config(model, c.objective.sentence != SentenceTask::none);
    check_model(c.model.keys, static_cast<int>(c.parallel.tensor));
  });
}

std::int64_t model_number(const Config& c, const char* key) {
  return c.model.keys.contains(key) ? c.model.keys[key].get<std::int64_t>() : -1;
}

void check_lengths(const Config& c) {
  const std::int64_t positions = model_number(c, "max_position_embeddings");
  if (positions >= 0 && c.data.seq_length > positions) {
    throw InputError(
        fmt::format("{}: {} is longer than {}",
                    named(c, "data.seq_length", "model.max_position_embeddings"), c.data.seq_length,
                    other(c, "model.max_position_embeddings", positions)),
        fmt::format("use at most {}, or a model with more positions", positions));
  }
  const std::int64_t types = model_number(c, "type_vocab_size");
  if (c.objective.sentence != SentenceTask::none && types >= 0 && types < 2) {
    throw InputError(fmt::format("{}: pairs need two token types, but {}",
                                 named(c, "objective.sentence", "model.type_vocab_size"),
                                 other(c, "model.type_vocab_size", types)),
                     "use objective.sentence: none, or model.type_vocab_size: 2");
  }
  if (c.objective.max_predictions > c.data.seq_length) {
    throw InputError(
        fmt::format("{}: {} is more than {}", c.named("objective.max_predictions"),
                    c.objective.max_predictions, other(c, "data.seq_length", c.data.seq_length)),
        "use at most the number of tokens of a sample");
  }
}

}  // namespace

void resolve_settings(Config& config, const RunLayout& layout) {
  resolve_layout(config, layout.ranks);
  resolve_batch(config, layout.ranks);
  resolve_schedule(config);
  resolve_records(config);
}

void resolve_config(Config& config, const Tokenizer& tokenizer, const RunLayout& layout) {
  resolve_settings(config, layout);
  resolve_model(config, tokenizer);
  check_lengths(config);
}

}  // namespace weft
