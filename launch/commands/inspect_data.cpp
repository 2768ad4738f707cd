// weft inspect-data CONFIG
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/data/dataset.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/config/config.hpp"
#include "launch/console.hpp"

namespace weft {

namespace {

// How a token that is to be predicted is written: what the model sees, and what stood there.
std::string marked(const std::string& seen, const std::string& target, bool colour) {
  if (!colour) return fmt::format("{}<{}>", seen, target);
  const char* code = seen == "[MASK]" ? "33" : seen == target ? "32" : "31";
  return fmt::format("\x1b[{}m{}\x1b[0m\x1b[2m<{}>\x1b[0m", code, seen, target);
}

// Tokens of one segment as text; pieces are joined to words where nothing is marked between them.
std::string decoded(const Sample& s, const Tokenizer& tokenizer, std::int32_t type, bool colour) {
  std::string text;
  std::size_t k = 0;
  bool joins = false;  // whether the token before is one that a piece may be joined to
  for (std::size_t i = 0; i < s.ids.size(); ++i) {
    const bool predicted = k < s.places.size() && s.places[k] == static_cast<std::int32_t>(i);
    const std::int32_t target = predicted ? s.targets[k++] : -1;
    if (s.type_ids[i] != type) continue;
    const std::string& token = tokenizer.token(s.ids[i]);
    if (predicted) {
      text += " " + marked(token, tokenizer.token(target), colour);
    } else if (joins && !tokenizer.starts_word(s.ids[i]) && token.rfind("##", 0) == 0) {
      text += token.substr(2);
    } else {
      text += " " + token;
    }
    joins = !predicted && !tokenizer.is_special(s.ids[i]);
  }
  return text;
}

const char* meaning_of(SentenceTask task, std::int32_t label) {
  if (task == SentenceTask::nsp) return label == 0 ? "B follows A" : "B is from another document";
  return label == 0 ? "in order" : "swapped";
}

void print_text(const Console& console, const Dataset& data, const Tokenizer& tokenizer,
                std::uint64_t number, bool colour) {
  const Sample s = data.sample(number);
  const auto source = static_cast<std::size_t>(s.segments[0].source);
  std::string head = fmt::format("sample {}: {}, {} of {} tokens, {} predicted", number,
                                 data.data().sources[source].path.string(), s.ids.size(),
                                 data.data().seq_length, s.places.size());
  if (s.sentence_label >= 0) {
    head += fmt::format(", label {}: {}", s.sentence_label,
                        meaning_of(data.objective().sentence, s.sentence_label));
  }
  console.result(head);
  for (std::size_t i = 0; i < s.segments.size(); ++i) {
    console.result(fmt::format("  {} (document {}, sentence {}):{}", i == 0 ? 'A' : 'B',
                               s.segments[i].document, s.segments[i].sentence,
                               decoded(s, tokenizer, static_cast<std::int32_t>(i), colour)));
  }
}

Json names_of(const std::vector<std::int32_t>& ids, const Tokenizer& tokenizer) {
  Json names = Json::array();
  for (const std::int32_t id : ids) names.push_back(tokenizer.token(id));
  return names;
}

void print_json(const Console& console, const Dataset& data, const Tokenizer& tokenizer,
                std::uint64_t number) {
  const Sample s = data.sample(number);
  Json json;
  json["sample"] = number;
  json["source"] =
      data.data().sources[static_cast<std::size_t>(s.segments[0].source)].path.string();
  json["ids"] = s.ids;
  json["tokens"] = names_of(s.ids, tokenizer);
  json["type_ids"] = s.type_ids;
  json["masked_places"] = s.places;
  json["masked_targets"] = s.targets;
  json["masked_tokens"] = names_of(s.targets, tokenizer);
  json["sentence_label"] = s.sentence_label < 0 ? Json() : Json(s.sentence_label);
  json["segments"] = Json::array();
  for (const SegmentOrigin& o : s.segments) {
    json["segments"].push_back({{"document", o.document}, {"sentence", o.sentence}});
  }
  console.result(json.dump());
}

int inspect_data_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  const Config config = read_config(arguments.positional(0), arguments.all("set"));
  const auto tokenizer = load_tokenizer(config.tokenizer);
  const bool eval = arguments.flag("eval");
  if (eval && config.data.eval.empty()) {
    throw InputError(arguments.positional(0) + ": has no data.eval to look at");
  }
  const Dataset data({.sources = eval ? config.data.eval : config.data.train,
                      .seq_length = config.data.seq_length},
                     config.objective, *tokenizer, eval ? kEvaluationSeed : config.run.seed);
  console.info(fmt::format("{} documents, {} tokens, {} samples to an epoch", data.documents(),
                           data.tokens(), data.samples_per_epoch()));
  if (!arguments.json()) {
    console.info(
        "seen<target> marks what is to be predicted: [MASK], a random token, or unchanged");
  }
  const bool colour = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  const auto first = static_cast<std::uint64_t>(arguments.integer("sample"));
  const auto count = static_cast<std::uint64_t>(arguments.integer("count"));
  for (std::uint64_t i = first; i < first + count; ++i) {
    if (arguments.json()) {
      print_json(console, data, *tokenizer, i);
    } else {
      print_text(console, data, *tokenizer, i, colour);
    }
  }
  return kDone;
}

}  // namespace

Command describe_inspect_data() {
  return {.name = "inspect-data",
          .summary = "show what the model will see: decoded samples, masks and labels marked",
          .positionals = {{.name = "CONFIG", .help = "the configuration of a run"}},
          .options = {{.name = "sample",
                       .kind = Option::Kind::integer,
                       .value = "N",
                       .help = "number of the first sample; step k of a run begins at k times "
                               "train.global_batch",
                       .fallback = "0",
                       .min = 0},
                      {.name = "count",
                       .kind = Option::Kind::integer,
                       .value = "K",
                       .help = "how many samples",
                       .fallback = "3",
                       .min = 1},
                      {.name = "eval", .help = "the samples of evaluation, from data.eval"},
                      {.name = "set",
                       .kind = Option::Kind::text,
                       .value = "KEY=VALUE",
                       .help = "change a key of the configuration, as weft pretrain --set",
                       .repeated = true}},
          .example = "weft inspect-data configs/bert-tiny-cpu.yaml --sample 640 --count 2",
          .run = inspect_data_command};
}

}  // namespace weft
