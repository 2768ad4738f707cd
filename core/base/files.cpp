// Files by POSIX calls, so that every failure has its errno and every write reaches the disk.
#include "core/base/files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail(const fs::path& path, const char* what, int error) {
  throw Error(path.string() + ": cannot " + what + ": " + reason(error));
}

// A descriptor that closes itself.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Opens a regular file for reading and tells its size.
int open_to_read(const fs::path& path, std::size_t& size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw InputError(path.string() + ": " + reason(errno));
  struct stat status {};
  int error = ::fstat(fd, &status) == 0 ? 0 : errno;
  if (error == 0 && S_ISDIR(status.st_mode)) error = EISDIR;
  if (error != 0) {
    ::close(fd);
    throw InputError(path.string() + ": " + reason(error));
  }
  size = static_cast<std::size_t>(status.st_size);
  return fd;
}

// What a read() gave, 0 at the end.
std::size_t read_some(int fd, std::span<char> target, const fs::path& path) {
  ssize_t n = 0;
  do {
    n = ::read(fd, target.data(), target.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) throw InputError(path.string() + ": " + reason(errno));
  return static_cast<std::size_t>(n);
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// `runs/x/` and `runs/x` name one directory; staging beside it needs the second form.
fs::path without_slash(const fs::path& path) {
  return path.has_filename() || !path.has_parent_path() ? path : path.parent_path();
}

// Beside the target, so that a rename is enough.
fs::path staging_path(const fs::path& target) {
  return target.string() + ".tmp-" + std::to_string(::getpid());
}

}  // namespace

std::string read_file(const fs::path& path) {
  std::size_t size = 0;
  const Descriptor file{open_to_read(path, size)};
  std::string content;
  // The size is only a hint: pipes and files in /proc say 0.
  constexpr std::size_t kStep = std::size_t{1} << 16;
  std::size_t used = 0;
  while (true) {
    if (used == content.size()) content.resize(std::max(used + kStep, size + 1));
    const std::size_t n = read_some(file.fd, std::span(content).subspan(used), path);
    if (n == 0) break;
    used += n;
  }
  content.resize(used);
  return content;
}

void read_blocks(const fs::path& path, const std::function<void(std::span<const std::byte>)>& use) {
  std::size_t size = 0;
  const Descriptor file{open_to_read(path, size)};
  std::vector<char> block(std::size_t{1} << 20);
  while (const std::size_t n = read_some(file.fd, block, path)) {
    use(std::as_bytes(std::span(block.data(), n)));
  }
}

bool path_exists(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::status_known(status)) return fs::exists(status);
  throw InputError(path.string() + ": " + error.message());
}

MappedFile::MappedFile(const fs::path& path) {
  const Descriptor file{open_to_read(path, size_)};
  if (size_ == 0) return;
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (map == MAP_FAILED) throw InputError(path.string() + ": " + reason(errno));
  data_ = static_cast<const std::byte*>(map);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

OutputFile::OutputFile(const fs::path& path, std::uint64_t keep) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | (keep == 0 ? O_TRUNC : 0) | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(path_, "write", errno);
  if (keep == 0) return;
  const auto size = static_cast<off_t>(keep);
  const bool longer = ::lseek(fd_, 0, SEEK_END) >= size;
  if (longer && ::ftruncate(fd_, size) == 0 && ::lseek(fd_, size, SEEK_SET) == size) return;
  const int error = errno;
  ::close(fd_);
  if (longer) fail(path_, "write", error);
  throw Error(path.string() + ": is shorter than the " + std::to_string(keep) +
              " bytes written to it before");
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_, "write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void OutputFile::write_at(std::uint64_t place, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(place));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_, "write", errno);
    place += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void OutputFile::sync() {
  if (::fsync(fd_) != 0) fail(path_, "write", errno);
}

void OutputFile::finish() {
  sync();
  // Even a failed close() gives the descriptor back.
  if (::close(std::exchange(fd_, -1)) != 0) fail(path_, "write", errno);
}

StagedFile::StagedFile(fs::path target)
    : target_(std::move(target)), staging_(staging_path(target_)), file_(staging_) {}

StagedFile::~StagedFile() {
  if (!committed_) ::unlink(staging_.c_str());
}

void StagedFile::commit() {
  file_.finish();
  rename_path(staging_, target_);
  committed_ = true;
  fsync_path(folder_of(target_));
}

void write_file_atomic(const fs::path& path, std::string_view content) {
  StagedFile staged(path);
  staged.file().write(content);
  staged.commit();
}

void fsync_path(const fs::path& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd >= 0 && ::fsync(file.fd) == 0) return;
  const int error = errno;
  std::error_code ignored;
  // Some network and FUSE file systems have no fsync for folders.
  if (file.fd >= 0 && error == EINVAL && fs::is_directory(path, ignored)) return;
  fail(path, "write", error);
}

void rename_path(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    throw Error(from.string() + ": cannot rename to " + to.filename().string() + ": " +
                reason(error));
  }
}

void replace_directory(const fs::path& from, const fs::path& to) {
  std::error_code ignored;
  // An empty directory is replaced by the rename itself.
  if (!fs::exists(to, ignored) || fs::is_empty(to, ignored)) {
    rename_path(from, to);
    fsync_path(folder_of(to));
  } else if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    fsync_path(folder_of(to));
    fs::remove_all(from, ignored);
  } else {
    replace_directory_by_renames(from, to);
  }
}

void replace_directory_by_renames(const fs::path& from, const fs::path& to) {
  const fs::path old = to.string() + std::string(kReplaced);
  std::error_code error;
  fs::remove_all(old, error);  // of a call that was killed: `to` is there, so nobody needs it
  if (error) throw Error(old.string() + ": cannot remove: " + error.message());
  rename_path(to, old);
  try {
    rename_path(from, to);
  } catch (const Error&) {
    fs::rename(old, to, error);
    throw;
  }
  fsync_path(folder_of(to));
  fs::remove_all(old, error);
}

StagedDirectory::StagedDirectory(fs::path target, bool force) : target_(without_slash(target)) {
  std::error_code ignored;
  const bool exists = fs::exists(target_, ignored);
  if (exists && !fs::is_directory(target_, ignored)) {
    throw InputError(target_.string() + ": exists and is not a directory");
  }
  if (exists && !force && !fs::is_empty(target_, ignored)) {
    throw InputError(target_.string() + ": exists and is not empty",
                     "choose another directory, or replace it with --force");
  }
  staging_ = staging_path(target_);
  std::error_code error;
  fs::remove_all(staging_, error);
  if (!error) fs::create_directories(staging_, error);
  if (error) throw Error(staging_.string() + ": cannot create: " + error.message());
}

StagedDirectory::~StagedDirectory() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(staging_, ignored);
}

void StagedDirectory::commit() {
  for (const auto& entry : fs::recursive_directory_iterator(staging_)) {
    if (!entry.is_symlink()) fsync_path(entry.path());
  }
  fsync_path(staging_);
  replace_directory(staging_, target_);
  committed_ = true;
}

}  // namespace weft
