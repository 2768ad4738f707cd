// Files: whole reads, memory maps, and writes that are either complete or absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace weft {

// A file small enough to be held whole: config.json, vocab.txt.
struct SmallFile {
  std::string name;  // a plain file name
  std::string content;
};

// The whole file. Throws InputError naming the file and the system's reason.
std::string read_file(const std::filesystem::path& path);

// Hands the file's content to `use` from front to back. A disk that cannot be read is an
// InputError, where a map would be killed by SIGBUS.
void read_blocks(const std::filesystem::path& path,
                 const std::function<void(std::span<const std::byte>)>& use);

// Throws InputError with the system's reason when that cannot be told.
bool path_exists(const std::filesystem::path& path);

// Read-only map of a file; empty files map to an empty span.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A file being written. Each failure is an Error "PATH: cannot write: REASON".
// A file that is not finish()ed is closed and left as it is: half-written.
class OutputFile {
 public:
  // Created, or cut to its first `keep` bytes to go on behind them; it must have so many.
  explicit OutputFile(const std::filesystem::path& path, std::uint64_t keep = 0);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);  // behind what was written so
  void write(std::string_view text);
  // At any place, leaving zeros where nothing has been written yet; write() does not see it.
  void write_at(std::uint64_t place, std::span<const std::byte> bytes);
  void sync();    // all that was written is on the disk
  void finish();  // sync and close

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

// A file written beside its target and renamed on commit(), replacing what was there; removed when
// it dies uncommitted.
class StagedFile {
 public:
  explicit StagedFile(std::filesystem::path target);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  OutputFile& file() { return file_; }
  void commit();  // fsynced first, and the folder afterwards

 private:
  std::filesystem::path target_, staging_;
  OutputFile file_;
  bool committed_ = false;
};

// A StagedFile of this content.
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

void fsync_path(const std::filesystem::path& path);  // a file or a folder
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);  // or Error

// The end of the name of a directory that is about to be replaced.
inline constexpr std::string_view kReplaced = ".replaced";

// Gives directory `from` the name `to`, for good: the folder is fsynced. A full directory of that
// name changes places with it in one step, so that one of the two is always there, and is removed
// when the new one is safe. File systems that cannot exchange names (NFS) take the next function.
void replace_directory(const std::filesystem::path& from, const std::filesystem::path& to);

// Renames a directory `to` to TO.replaced, `from` to `to`, and removes the first. When the second
// rename fails, the first is undone. A crash between them leaves TO.replaced and no `to`.
void replace_directory_by_renames(const std::filesystem::path& from,
                                  const std::filesystem::path& to);

// A directory written beside its target and renamed on commit(); removed when it dies uncommitted.
// An existing, non-empty target is an InputError unless `force`, which replaces it.
class StagedDirectory {
 public:
  StagedDirectory(std::filesystem::path target, bool force);
  ~StagedDirectory();
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const std::filesystem::path& path() const { return staging_; }
  void commit();  // every file fsynced first

 private:
  std::filesystem::path target_, staging_;
  bool committed_ = false;
};

}  // namespace weft
