// A file of records that grows while training runs, and outlasts a disk that is full for a while.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace weft {

class AppendedFile {
 public:
  // Opened for appending, made when absent. Throws Error naming the file.
  explicit AppendedFile(std::filesystem::path path);
  ~AppendedFile();
  AppendedFile(const AppendedFile&) = delete;
  AppendedFile& operator=(const AppendedFile&) = delete;

  // In one write, so that a reader never sees half of it. What cannot be written waits in memory,
  // and goes out first with the next record.
  void append(std::string_view record);

  void flush();  // what waits

  // "PATH: cannot write: REASON" while records wait, else empty.
  const std::string& failure() const { return failure_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int file_ = -1;
  std::string waiting_, failure_;
};

}  // namespace weft
