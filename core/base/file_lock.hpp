// A lock that keeps other processes from the same work; it goes with the process that holds it.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string_view>

namespace weft {

class FileLock {
 public:
  explicit FileLock(int descriptor) : fd_(descriptor) {}
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Makes `text` the content of the locked file, as far as that can be: a word to who finds it
  // locked.
  void note(std::string_view text) const;

 private:
  int fd_;  // below 0: nothing could be locked
};

// Locks a directory, or a file, which is made when absent: on a network file system only the lock
// of a file reaches other hosts. Null when another process still has it after `patience`: one that
// was killed may hold it until its last write comes to an end. Where there are no locks, or the
// file cannot be opened, it is as if nobody else were there.
std::unique_ptr<FileLock> take_lock(const std::filesystem::path& path,
                                    std::chrono::milliseconds patience);

}  // namespace weft
