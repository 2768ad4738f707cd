// Reader, tokenizing workers and writer of data preparation.
#include "core/data/prepare.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/data/ordered_pipeline.hpp"
#include "core/data/prepare_state.hpp"
#include "core/data/token_writer.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

// In the order of their renames: the index, without which there is no token file, goes last.
constexpr const char* kExtensions[] = {".bin", ".json", ".idx"};

std::uint64_t check_inputs(const PrepareOptions& options) {
  if (options.files.empty()) throw InputError("no input files");
  std::uint64_t bytes = 0;
  for (const fs::path& file : options.files) {
    std::error_code error;
    const auto status = fs::status(file, error);
    if (!fs::exists(status)) throw InputError(file.string() + ": no such file");
    if (!fs::is_regular_file(status)) {
      throw InputError(file.string() + ": is not a regular file",
                       "give text files; .gz, .xz and .zst are read as they are");
    }
    TextReader readable(file);
    bytes += fs::file_size(file);
  }
  const double p = options.text.held_out;
  if (!(p >= 0 && p < 1)) {
    throw InputError(fmt::format("held-out fraction {} is not in [0, 1)", p));
  }
  return bytes;
}

std::vector<fs::path> prefixes(const PrepareOptions& options) {
  if (options.text.held_out > 0) return {options.output, held_out_prefix(options.output)};
  return {options.output};
}

void check_output(const PrepareOptions& options, const fs::path& working) {
  const fs::path name = options.output.filename();
  if (name.empty() || name == "." || name == "..") {
    throw InputError(options.output.string() + ": is not a prefix for files, such as data/wiki");
  }
  if (options.force || only_renames_left(working)) return;
  for (const fs::path& prefix : prefixes(options)) {
    for (const char* extension : kExtensions) {
      const fs::path path = token_file_path(prefix, extension);
      if (fs::exists(path)) {
        throw InputError(path.string() + ": exists", "replace it with --force");
      }
    }
  }
}

// What an unfinished run must have in common with the one that continues it.
Json describe_run(const PrepareOptions& options, const Tokenizer& tokenizer) {
  Json files = Json::array();
  for (const fs::path& file : options.files) {
    const auto time = fs::last_write_time(file).time_since_epoch().count();
    files.push_back({{"path", fs::absolute(file).string()},
                     {"bytes", fs::file_size(file)},
                     {"time", static_cast<std::int64_t>(time)}});
  }
  return {{"version", 1},
          {"tokenizer", tokenizer.hash()},
          {"split_sentences", options.text.split_sentences},
          {"held_out", options.text.held_out},
          {"files", files}};
}

// The working files of one output.
class Output {
 public:
  Output(const fs::path& directory, const std::string& name, const TokenFileInfo& written,
         bool starts)
      : writer_(directory, name, written.vocab_size, written), info_(written), starts_(starts) {}

  void append(TokenRun&& run) {
    const bool first_starts = !run.document_starts.empty() && run.document_starts.front() == 0;
    if (starts_ && !run.lengths.empty()) {
      if (!first_starts) run.document_starts.insert(run.document_starts.begin(), 0);
      starts_ = false;
    }
    starts_ = starts_ || run.starts_behind;
    writer_.append(run.lengths, run.tokens, run.document_starts);
    info_.text_bytes += run.text_bytes;
    info_.documents = writer_.documents();
    info_.sentences = writer_.sentences();
    info_.tokens = writer_.tokens();
  }

  TokenFileInfo& info() { return info_; }
  bool starts() const { return starts_; }
  TokenWriter& writer() { return writer_; }

 private:
  TokenWriter writer_;
  TokenFileInfo info_;
  bool starts_;  // the next sentence starts a document
};

class Preparation {
 public:
  Preparation(const PrepareOptions& options, const Tokenizer& tokenizer,
              PrepareDirectory& directory, std::uint64_t bytes_total)
      : options_(options),
        tokenizer_(tokenizer),
        directory_(directory),
        state_(directory.state()),
        bytes_total_(bytes_total) {
    if (!directory.resumed()) {
      state_.train.tokenizer_hash = state_.held_out.tokenizer_hash = tokenizer.hash();
      state_.train.vocab_size = state_.held_out.vocab_size = tokenizer.vocab_size();
    }
  }

  PrepareResult run() {
    if (!state_.complete) {
      Output train(directory_.path(), "train", state_.train, state_.train_starts);
      Output held_out(directory_.path(), "held-out", state_.held_out, state_.held_out_starts);
      if (options_.on_start) options_.on_start(progress());
      const bool finished = run_pipeline(train, held_out);
      save(train, held_out);
      if (!finished) return result(false);
      check_not_empty();
      complete(train, held_out);
    }
    rename_all();
    return result(true);
  }

 private:
  bool run_pipeline(Output& train, Output& held_out) {
    DocumentReader reader(options_.files, options_.text.held_out, state_.position);
    const BlockTokenizer tokenize(tokenizer_, options_.text, options_.files);
    std::int64_t saved = state_.train.text_bytes + state_.held_out.text_bytes;
    bool finished = true;
    OrderedPipeline<TextBlock, TokenBlock> pipeline;
    pipeline.source = [&](TextBlock& block) { return reader.next(block); };
    pipeline.work = [&](TextBlock&& block) { return tokenize(std::move(block)); };
    pipeline.sink = [&](TokenBlock&& block) {
      take(std::move(block), train, held_out);
      const std::int64_t done = train.info().text_bytes + held_out.info().text_bytes;
      if (done - saved >= options_.checkpoint_bytes) {
        save(train, held_out);
        saved = done;
      }
      if (options_.on_progress) options_.on_progress(progress());
      finished = !(options_.stop && options_.stop());
      return finished;
    };
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    pipeline.run(options_.threads > 0 ? options_.threads : cores);
    return finished;
  }

  void take(TokenBlock&& block, Output& train, Output& held_out) {
    train.append(std::move(block.train));
    held_out.append(std::move(block.held_out));
    train.info().skipped_lines += static_cast<std::int64_t>(block.skipped.size());
    const bool by_id = train.info().word_starts_by_id && block.word_starts_by_id;
    train.info().word_starts_by_id = held_out.info().word_starts_by_id = by_id;
    state_.position = block.end;
    state_.bytes_read = block.bytes_read;
    state_.train = train.info();
    state_.held_out = held_out.info();
    if (!options_.on_skipped) return;
    for (const std::string& line : block.skipped) options_.on_skipped(line);
  }

  void save(Output& train, Output& held_out) {
    train.writer().sync();
    held_out.writer().sync();
    state_.train_starts = train.starts();
    state_.held_out_starts = held_out.starts();
    directory_.save(state_);
  }

  void check_not_empty() {
    const auto all = state_.train.documents + state_.held_out.documents;
    const bool empty = all == 0;
    if (!empty && state_.train.documents > 0 &&
        (options_.text.held_out <= 0 || state_.held_out.documents > 0)) {
      return;
    }
    directory_.remove();
    if (empty) {
      throw InputError(fmt::format(
          "{}{}: no usable text ({} lines left out)", options_.files[0].string(),
          options_.files.size() > 1 ? " and the other files" : "", state_.train.skipped_lines));
    }
    throw InputError(
        fmt::format("{} of {} documents would be held out", state_.held_out.documents, all),
        "choose another fraction, or separate documents by blank lines");
  }

  void complete(Output& train, Output& held_out) {
    train.writer().finish();
    held_out.writer().finish();
    write_file_atomic(directory_.path() / "train.json", to_json(state_.train));
    write_file_atomic(directory_.path() / "held-out.json", to_json(state_.held_out));
    state_.complete = true;
    directory_.save(state_);
  }

  // May have been interrupted in an earlier call: what is not there any more has been renamed.
  // A replaced output loses its index first, so that old and new files are never taken for one.
  void rename_all() {
    const char* names[] = {"train", "held-out"};
    const auto targets = prefixes(options_);
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const fs::path from = directory_.path() / names[i];
      if (fs::exists(token_file_path(from, ".idx")))
        fs::remove(token_file_path(targets[i], ".idx"));
      for (const char* extension : kExtensions) {
        const fs::path file = token_file_path(from, extension);
        if (fs::exists(file)) rename_path(file, token_file_path(targets[i], extension));
      }
    }
    fsync_path(directory_.path().has_parent_path() ? directory_.path().parent_path() : ".");
    directory_.remove();
  }

  PrepareProgress progress() const {
    return {state_.bytes_read, bytes_total_, state_.train.documents + state_.held_out.documents,
            state_.train.tokens + state_.held_out.tokens};
  }
  PrepareResult result(bool finished) const {
    return {finished, directory_.resumed(), state_.train, state_.held_out};
  }

  const PrepareOptions& options_;
  const Tokenizer& tokenizer_;
  PrepareDirectory& directory_;
  PrepareState state_;
  std::uint64_t bytes_total_;
};

}  // namespace

fs::path held_out_prefix(const fs::path& output) { return token_file_path(output, "-held-out"); }

PrepareResult prepare(const PrepareOptions& options, const Tokenizer& tokenizer) {
  const std::uint64_t bytes_total = check_inputs(options);
  const fs::path working = token_file_path(options.output, ".partial");
  check_output(options, working);
  PrepareDirectory directory(working, describe_run(options, tokenizer), options.force);
  return Preparation(options, tokenizer, directory, bytes_total).run();
}

}  // namespace weft
