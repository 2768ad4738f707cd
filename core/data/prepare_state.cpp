// Locks the working directory, saves and restores the state of a run.
#include "core/data/prepare_state.hpp"

#include <chrono>
#include <string>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/files.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

constexpr const char* kStateFile = "state.json";

Json to_json_value(const TokenFileInfo& info, bool starts) {
  Json json = Json::parse(to_json(info));
  json["starts"] = starts;
  return json;
}

TokenFileInfo info_from(const Json& json, bool& starts) {
  TokenFileInfo info;
  info.tokenizer_hash = json.at("tokenizer_hash").get<std::string>();
  info.vocab_size = json.at("vocab_size").get<std::int64_t>();
  info.documents = json.at("documents").get<std::int64_t>();
  info.sentences = json.at("sentences").get<std::int64_t>();
  info.tokens = json.at("tokens").get<std::int64_t>();
  info.text_bytes = json.at("text_bytes").get<std::int64_t>();
  info.skipped_lines = json.at("skipped_lines").get<std::int64_t>();
  info.word_starts_by_id = json.at("word_starts_by_id").get<bool>();
  starts = json.at("starts").get<bool>();
  return info;
}

PrepareState state_from(const Json& json) {
  PrepareState s;
  const Json& position = json.at("position");
  s.position.file = position.at("file").get<std::size_t>();
  s.position.lines = position.at("lines").get<std::int64_t>();
  s.position.in_document = position.at("in_document").get<bool>();
  s.position.held_out = position.at("held_out").get<bool>();
  s.bytes_read = json.at("bytes_read").get<std::uint64_t>();
  s.train = info_from(json.at("train"), s.train_starts);
  s.held_out = info_from(json.at("held_out"), s.held_out_starts);
  s.complete = json.at("complete").get<bool>();
  return s;
}

// The directory is removed in the end with all that is in it, which must not be somebody else's.
void check_entries(const fs::path& directory) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("train.") || name.starts_with("held-out.") ||
        name.starts_with(kStateFile)) {
      continue;
    }
    throw InputError(entry.path().string() + ": is not of weft prepare, whose directory this is",
                     "move it away, or choose another output");
  }
}

}  // namespace

PrepareDirectory::PrepareDirectory(const fs::path& directory, const Json& run, bool forget)
    : path_(directory), run_(run) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) throw InputError(path_.string() + ": cannot create: " + error.message());
  lock_ = take_lock(path_, std::chrono::seconds(3));
  if (!lock_) throw InputError(path_.string() + ": another weft prepare is at work here");
  check_entries(path_);
  if (forget) fs::remove(path_ / kStateFile);
  if (fs::exists(path_ / kStateFile)) read();
}

PrepareDirectory::~PrepareDirectory() {
  if (!kept_) remove();  // nothing to go on from
}

void PrepareDirectory::read() {
  kept_ = true;
  const fs::path file = path_ / kStateFile;
  const std::string advice = "--force starts over";
  const Json json = read_json(file);
  try {
    for (const auto& [key, value] : run_.items()) {
      const Json& before = json.at("run").at(key);
      if (before == value) continue;
      throw InputError(path_.string() + ": holds an unfinished run with another \"" + key +
                           "\" (or the files have changed)",
                       "the command of before continues it; " + advice);
    }
    state_ = state_from(json);
    if (state_.position.file > run_.at("files").size()) {
      throw InputError(file.string() + ": is damaged: no such input file", advice);
    }
  } catch (const Json::exception& e) {
    throw InputError(file.string() + ": is damaged: " + e.what(), advice);
  }
  resumed_ = true;
}

void PrepareDirectory::save(const PrepareState& state) {
  Json json;
  json["run"] = run_;
  json["position"] = {{"file", state.position.file},
                      {"lines", state.position.lines},
                      {"in_document", state.position.in_document},
                      {"held_out", state.position.held_out}};
  json["bytes_read"] = state.bytes_read;
  json["train"] = to_json_value(state.train, state.train_starts);
  json["held_out"] = to_json_value(state.held_out, state.held_out_starts);
  json["complete"] = state.complete;
  write_file_atomic(path_ / kStateFile, json.dump(2) + "\n");
  kept_ = true;
}

void PrepareDirectory::remove() {
  // The state goes last: a run killed in here still knows that it is complete.
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path_, ignored)) {
    if (entry.path().filename() != kStateFile) fs::remove_all(entry.path(), ignored);
  }
  fs::remove_all(path_, ignored);
  kept_ = true;
}

bool only_renames_left(const fs::path& directory) {
  std::error_code ignored;
  const fs::path file = directory / kStateFile;
  if (!fs::exists(file, ignored)) return false;
  const Json json = read_json(file);
  return json.is_object() && json.value("complete", Json(false)) == Json(true);
}

}  // namespace weft
