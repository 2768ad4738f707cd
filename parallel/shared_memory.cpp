// Memory that several processes of one machine have mapped.
#include "parallel/shared_memory.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.hpp"

namespace weft {

namespace {

[[noreturn]] void failed(const std::string& what) {
  throw Error(fmt::format("shared memory: {}: {}", what, std::strerror(errno)));
}

}  // namespace

SharedMemory::SharedMemory(int file, std::size_t bytes) : file_(file), bytes_(bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (p == MAP_FAILED) {
    const int reason = errno;
    close(file);
    errno = reason;
    failed(fmt::format("{} bytes cannot be mapped", bytes));
  }
  madvise(p, bytes, MADV_HUGEPAGE);  // a wish
  data_ = static_cast<std::byte*>(p);
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(other.bytes_) {}

SharedMemory::~SharedMemory() {
  withdraw();
  if (data_ != nullptr) munmap(data_, bytes_);
}

SharedMemory SharedMemory::create(std::size_t bytes) {
  const int file = memfd_create("weft", MFD_CLOEXEC);
  if (file < 0) failed("none can be made");
  if (ftruncate(file, static_cast<off_t>(bytes)) != 0) {
    const int reason = errno;
    close(file);
    errno = reason;
    failed(fmt::format("no {} bytes of it", bytes));
  }
  return SharedMemory(file, bytes);
}

std::string SharedMemory::offer() const {
  struct stat status {};
  if (fstat(file_, &status) != 0) failed("it cannot be offered");
  return fmt::format("{} {} {} {}", getpid(), file_, bytes_, status.st_ino);
}

SharedMemory SharedMemory::open(const std::string& offer) {
  std::istringstream words(offer);
  long process = 0;
  int number = 0;
  std::size_t bytes = 0;
  ino_t inode = 0;
  words >> process >> number >> bytes >> inode;
  const std::string path = fmt::format("/proc/{}/fd/{}", process, number);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) failed(path);
  struct stat status {};
  if (fstat(file, &status) != 0 || status.st_ino != inode ||
      status.st_size != static_cast<off_t>(bytes)) {
    close(file);
    throw Error("shared memory: " + path + " is another file here");
  }
  return SharedMemory(file, bytes);
}

void SharedMemory::withdraw() {
  if (file_ >= 0) close(std::exchange(file_, -1));
}

std::string memory_sharing_place() {
  constexpr const char* kBoot = "/proc/sys/kernel/random/boot_id";
  constexpr const char* kProcesses = "/proc/self/ns/pid";
  std::string boot;
  if (!(std::ifstream(kBoot) >> boot)) failed(kBoot);
  struct stat processes {};
  if (stat(kProcesses, &processes) != 0) failed(kProcesses);
  return fmt::format("{} {}", boot, processes.st_ino);
}

}  // namespace weft
