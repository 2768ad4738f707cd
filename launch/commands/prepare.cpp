// weft prepare --tokenizer DIR --output PREFIX FILE...
#include "core/data/prepare.hpp"

#include <chrono>
#include <optional>

#include <fmt/format.h>
#include <omp.h>

#include "core/base/json.hpp"
#include "core/base/plural.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/console.hpp"
#include "launch/training/stop_signal.hpp"

namespace weft {

namespace {

constexpr std::int64_t kSkippedShown = 5;
constexpr double kMegabyte = 1e6;

PrepareOptions read_options(const Arguments& arguments) {
  PrepareOptions options;
  for (const std::string& file : arguments.positionals()) options.files.emplace_back(file);
  options.output = arguments.text("output");
  options.text.split_sentences = !arguments.flag("no-split-sentences");
  options.text.strict = arguments.flag("strict");
  options.text.held_out = arguments.real("held-out");
  options.checkpoint_bytes = arguments.integer("save-every") * 1000000;
  options.force = arguments.force();
  options.threads = omp_get_max_threads();
  return options;
}

void print_output(const Console& console, bool as_json, const std::filesystem::path& prefix,
                  const TokenFileInfo& info) {
  if (as_json) {
    const Json json = {{"output", prefix.string()},     {"documents", info.documents},
                       {"sentences", info.sentences},   {"tokens", info.tokens},
                       {"text_bytes", info.text_bytes}, {"skipped_lines", info.skipped_lines}};
    return console.result(json.dump());
  }
  console.result(fmt::format("{}: {} documents, {} sentences, {} tokens from {:.1f} MB of text",
                             prefix.string(), info.documents, info.sentences, info.tokens,
                             static_cast<double>(info.text_bytes) / kMegabyte));
}

// Shows progress and the first lines that are left out while prepare() runs.
PrepareResult run(PrepareOptions& options, const Tokenizer& tokenizer, const Console& console) {
  std::optional<Progress> progress;
  std::int64_t skipped = 0;
  options.on_start = [&](const PrepareProgress& p) {
    progress.emplace(console, "prepare", static_cast<double>(p.bytes_total) / kMegabyte, "MB");
    progress->start_at(static_cast<double>(p.bytes_done) / kMegabyte);
    if (p.bytes_done > 0) {
      console.info(
          fmt::format("going on with an unfinished run: {} documents are there", p.documents));
    }
  };
  options.on_progress = [&](const PrepareProgress& p) {
    progress->update(
        static_cast<double>(p.bytes_done) / kMegabyte,
        fmt::format("{} documents, {} tokens", short_number(static_cast<double>(p.documents)),
                    short_number(static_cast<double>(p.tokens))));
  };
  options.on_skipped = [&](const std::string& line) {
    if (++skipped > kSkippedShown) return;
    progress->clear();
    console.warn(line +
                 (skipped < kSkippedShown ? ": left out" : ": left out; more are only counted"));
  };
  options.stop = stop_requested;
  catch_stop_signals();
  const PrepareResult result = prepare(options, tokenizer);
  if (progress) progress->finish();
  return result;
}

int prepare_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  PrepareOptions options = read_options(arguments);
  console.verbose(counted(options.threads, "thread"));
  const auto tokenizer = load_tokenizer(arguments.text("tokenizer"));
  const auto start = std::chrono::steady_clock::now();
  const PrepareResult result = run(options, *tokenizer, console);
  if (!result.finished) {
    console.info(
        fmt::format("stopped by {}; the same command goes on from here", stop_signal_name()));
    return kStopped;
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (result.train.skipped_lines > 0) {
    console.warn(fmt::format("{} lines were left out", result.train.skipped_lines));
  }
  print_output(console, arguments.json(), options.output, result.train);
  if (options.text.held_out > 0) {
    print_output(console, arguments.json(), held_out_prefix(options.output), result.held_out);
  }
  const auto bytes = static_cast<double>(result.train.text_bytes + result.held_out.text_bytes);
  const std::string rate = fmt::format(", {:.1f} MB/s", bytes / kMegabyte / elapsed.count());
  console.info("done in " + duration(elapsed.count()) + (result.resumed ? "" : rate));
  return kDone;
}

}  // namespace

Command describe_prepare() {
  return {
      .name = "prepare",
      .summary = "turn text into the token files that pretraining reads",
      .positionals = {{.name = "FILE",
                       .help = "text with blank lines between documents, or .jsonl with \"text\"; "
                               "also as .gz, .xz or .zst",
                       .max = kAnyNumber}},
      .options = {{.name = "tokenizer",
                   .kind = Option::Kind::text,
                   .value = "DIR",
                   .help = "a directory with tokenizer.json or vocab.txt",
                   .required = true},
                  {.name = "output",
                   .kind = Option::Kind::text,
                   .value = "PREFIX",
                   .help = "writes PREFIX.bin, PREFIX.idx and PREFIX.json",
                   .required = true},
                  {.name = "held-out",
                   .kind = Option::Kind::real,
                   .value = "FRACTION",
                   .help = "put this share of the documents into PREFIX-held-out.*, for evaluation",
                   .fallback = "0",
                   .min = 0,
                   .max = 0.99},
                  {.name = "split-sentences", .help = "find sentences within lines (the default)"},
                  {.name = "no-split-sentences", .help = "each line is one sentence"},
                  {.name = "strict",
                   .help = "a line that is not UTF-8 or JSON is an error, not left out"},
                  {.name = "save-every",
                   .kind = Option::Kind::integer,
                   .value = "MB",
                   .help = "text between two points from which an interrupted run can go on",
                   .fallback = "32",
                   .min = 1},
                  {.name = "force", .help = "replace existing output, forget an unfinished run"}},
      .example =
          "weft prepare --tokenizer data/tokenizer --output data/wiki --held-out 0.01 "
          "wiki.txt.xz",
      .details =
          "An interrupted run goes on where it was when the same command is given again. The "
          "output does not depend on the number of threads. Which documents are held out "
          "follows from their text alone.",
      .run = prepare_command};
}

}  // namespace weft
