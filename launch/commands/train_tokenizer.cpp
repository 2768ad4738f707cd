// weft train-tokenizer: learns a vocabulary from text and writes a tokenizer directory.
#include <optional>

#include <fmt/format.h>
#include <omp.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "core/text/wordpiece_trainer.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/console.hpp"

namespace weft {

namespace {

constexpr double kMegabyte = 1e6;

WordPieceTraining training_of(const Arguments& arguments) {
  if (arguments.text("type") != "wordpiece") {
    throw InputError("--type " + arguments.text("type") + " is not in this version",
                     "it trains wordpiece");
  }
  if (arguments.flag("lowercase") && arguments.flag("cased")) {
    throw InputError("--lowercase and --cased contradict each other", "give one of them");
  }
  WordPieceTraining training;
  training.vocab_size = arguments.integer("vocab-size");
  training.min_frequency = arguments.integer("min-frequency");
  training.alphabet_limit = arguments.integer("limit-alphabet");
  training.normalizer.lowercase = !arguments.flag("cased");
  if (arguments.flag("no-strip-accents")) training.normalizer.strip_accents = false;
  training.threads = omp_get_max_threads();
  return training;
}

// A bar for reading, then one for merging.
class TrainingBars {
 public:
  explicit TrainingBars(const Console& console) : console_(console) {}

  void update(const TrainingProgress& p) {
    const bool counting = p.phase == TrainingProgress::Phase::counting;
    const double unit = counting ? kMegabyte : 1;
    if (!bar_ || phase_ != p.phase) {
      finish();
      bar_.emplace(console_, counting ? "counting words" : "merging pieces", p.total / unit,
                   counting ? "MB" : "tokens");
      bar_->start_at(p.done / unit);
      phase_ = p.phase;
    }
    bar_->update(p.done / unit);
  }
  void finish() {
    if (bar_) bar_->finish();
    bar_.reset();
  }

 private:
  const Console& console_;
  std::optional<Progress> bar_;
  TrainingProgress::Phase phase_ = TrainingProgress::Phase::counting;
};

int train_tokenizer_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  const WordPieceTraining training = training_of(arguments);
  const std::filesystem::path output = arguments.text("output");
  const std::vector<std::filesystem::path> files(arguments.positionals().begin(),
                                                 arguments.positionals().end());
  StagedDirectory directory(output, arguments.force());
  TrainingBars bars(console);
  const auto tokenizer = train_wordpiece(
      files, training, [&](const TrainingProgress& progress) { bars.update(progress); });
  bars.finish();
  tokenizer->save(directory.path());
  directory.commit();

  if (tokenizer->vocab_size() < training.vocab_size) {
    console.warn(fmt::format("{} tokens instead of {}: no other pair of pieces occurs {} times",
                             tokenizer->vocab_size(), training.vocab_size, training.min_frequency));
  }
  if (arguments.json()) {
    console.result(Json{{"output", output.string()},
                        {"vocab_size", tokenizer->vocab_size()},
                        {"hash", tokenizer->hash()}}
                       .dump());
  } else {
    console.result(fmt::format("wrote {}: a WordPiece tokenizer of {} tokens", output.string(),
                               tokenizer->vocab_size()));
  }
  return kDone;
}

std::vector<Option> train_tokenizer_options() {
  return {{.name = "type",
           .kind = Option::Kind::text,
           .value = "TYPE",
           .help = "what to train; this version has wordpiece only",
           .fallback = "wordpiece",
           .allowed = {"wordpiece", "bpe", "unigram"}},
          {.name = "vocab-size",
           .kind = Option::Kind::integer,
           .value = "N",
           .help = "tokens of the vocabulary, special tokens included",
           .fallback = "30522",
           .min = 6,
           .max = 1 << 22},
          {.name = "output",
           .kind = Option::Kind::text,
           .value = "DIR",
           .help = "the tokenizer directory to write",
           .required = true},
          force_option(),
          {.name = "lowercase", .help = "lower-case the text and strip accents (the default)"},
          {.name = "cased", .help = "keep capitals and accents"},
          {.name = "no-strip-accents", .help = "keep accents while lower-casing"},
          {.name = "min-frequency",
           .kind = Option::Kind::integer,
           .value = "N",
           .help = "merge pairs that occur at least so often",
           .fallback = "2",
           .min = 1},
          {.name = "limit-alphabet",
           .kind = Option::Kind::integer,
           .value = "N",
           .help = "keep the N most frequent characters; words with others become [UNK]",
           .fallback = "1000",
           .min = 1}};
}

}  // namespace

Command describe_train_tokenizer() {
  return {.name = "train-tokenizer",
          .summary = "learn a vocabulary from text and write a tokenizer directory",
          .positionals = {{.name = "FILE",
                           .help = "texts, or .jsonl with \"text\"; .gz, .xz and .zst are unpacked",
                           .max = kAnyNumber}},
          .options = train_tokenizer_options(),
          .example =
              "weft train-tokenizer --type wordpiece --vocab-size 8000 --output data/tokenizer "
              "wiki.txt.xz",
          .details =
              "The directory holds tokenizer.json, vocab.txt, tokenizer_config.json and "
              "special_tokens_map.json, as transformers reads them. The result does not "
              "depend on the number of threads.",
          .run = train_tokenizer_command};
}

}  // namespace weft
