// Memory that several processes of one machine have mapped.
#pragma once

#include <cstddef>
#include <string>

namespace weft {

// Anonymous: it has no name in a file system, so no mount of /dev/shm limits it, and nothing of it
// is left when its processes end, however they end. Pages are taken when they are first touched.
class SharedMemory {
 public:
  // Zeros. Throws Error when the system has none.
  static SharedMemory create(std::size_t bytes);
  // The memory that another process offers; it must not have withdrawn it. Throws Error when it
  // cannot be reached: from another container, for instance.
  static SharedMemory open(const std::string& offer);

  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&&) = delete;
  ~SharedMemory();

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

  // What open() of another process wants.
  std::string offer() const;
  // Nobody else will open it.
  void withdraw();

 private:
  SharedMemory(int file, std::size_t bytes);

  int file_;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Names this running system and its view of processes: what one process of a place offers, others
// of the same place can open. Throws Error when the system does not tell.
std::string memory_sharing_place();

}  // namespace weft
