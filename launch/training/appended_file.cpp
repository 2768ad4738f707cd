// A file of records that grows while training runs.
#include "launch/training/appended_file.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "core/base/error.hpp"

namespace weft {

AppendedFile::AppendedFile(std::filesystem::path path) : path_(std::move(path)) {
  file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) throw Error(path_.string() + ": cannot write: " + std::strerror(errno));
}

AppendedFile::~AppendedFile() { close(file_); }

void AppendedFile::append(std::string_view record) {
  waiting_ += record;
  flush();
}

void AppendedFile::flush() {
  failure_.clear();
  while (!waiting_.empty()) {
    const ssize_t n = write(file_, waiting_.data(), waiting_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      failure_ = path_.string() + ": cannot write: " + std::strerror(errno);
      return;
    }
    waiting_.erase(0, static_cast<std::size_t>(n));
  }
}

}  // namespace weft
