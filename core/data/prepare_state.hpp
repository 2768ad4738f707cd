// The working directory of data preparation and what it remembers of an unfinished run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "core/base/file_lock.hpp"
#include "core/base/json.hpp"
#include "core/data/document_reader.hpp"
#include "core/data/token_file.hpp"

namespace weft {

// A point from which preparation can go on: everything before `position` is in the working files,
// whose first bytes, as counted in `train` and `held_out`, are on the disk.
struct PrepareState {
  InputPosition position;
  std::uint64_t bytes_read = 0;
  TokenFileInfo train, held_out;
  bool train_starts = false, held_out_starts = false;  // TokenRun::starts_behind
  bool complete = false;  // all files of the output are in the directory: only renames are left
};

// Owns DIRECTORY while it lives: another process that opens it gets an InputError.
class PrepareDirectory {
 public:
  // `run` describes what is prepared from what. If the directory holds an unfinished run, that
  // becomes state(), unless `forget`. Throws InputError naming what differs from `run` in it.
  PrepareDirectory(const std::filesystem::path& directory, const Json& run, bool forget);
  ~PrepareDirectory();
  PrepareDirectory(const PrepareDirectory&) = delete;
  PrepareDirectory& operator=(const PrepareDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  bool resumed() const { return resumed_; }
  const PrepareState& state() const { return state_; }

  void save(const PrepareState& state);  // atomic
  void remove();                         // with all that is in it

 private:
  void read();

  std::filesystem::path path_;
  Json run_;
  PrepareState state_;
  bool resumed_ = false, kept_ = false;
  std::unique_ptr<FileLock> lock_;
};

// Whether DIRECTORY holds a run whose output only waits to be renamed.
bool only_renames_left(const std::filesystem::path& directory);

}  // namespace weft
