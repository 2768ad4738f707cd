// Locks by flock(2): the kernel drops them when their process ends, however that happens.
#include "core/base/file_lock.hpp"

#include <cerrno>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace weft {

namespace {

// Open for writing, which the exclusive lock of a network file system asks for.
int open_to_lock(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  return fd < 0 && errno == EISDIR ? ::open(path.c_str(), O_RDONLY | O_CLOEXEC) : fd;
}

// Whether another process has the lock. No other failure says so.
bool busy(int fd) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR) return errno == EWOULDBLOCK;
  }
  return false;
}

}  // namespace

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

void FileLock::note(std::string_view text) const {
  if (::ftruncate(fd_, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = ::pwrite(fd_, text.data(), text.size(), 0);
}

std::unique_ptr<FileLock> take_lock(const std::filesystem::path& path,
                                    std::chrono::milliseconds patience) {
  const int fd = open_to_lock(path);
  auto lock = std::make_unique<FileLock>(fd);
  const auto end = std::chrono::steady_clock::now() + patience;
  while (busy(fd)) {
    if (std::chrono::steady_clock::now() >= end) return nullptr;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return lock;
}

}  // namespace weft
