// The memory of the emulated devices: a region of its own, which host code cannot touch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace cuda_emulator {

class DeviceMemory {
 public:
  // For the life of the process.
  static DeviceMemory& instance();

  // Filled with 0xFF: NaN in every floating type. Null when the device has no room left.
  void* allocate(int device, std::size_t bytes);
  bool release(void* p);
  // The first `bytes` of the `size` at `p`, a whole allocation, are a tensor's from now on, and
  // filled with 0xFF; the others, all of them if that is 0, are nobody's.
  void lend(void* p, std::size_t bytes, std::size_t size);
  std::size_t used(int device);
  // Whether [p, p + bytes) lies within one allocation.
  bool holds(const void* p, std::size_t bytes);

  // Whether `p` points into the region at all; the same without a lock for the accesses of kernels.
  bool contains(const void* p) const { return offset(p) < bytes_; }
  int device_of(const void* p) const { return static_cast<int>(offset(p) / device_bytes_); }
  std::size_t offset(const void* p) const {
    return static_cast<std::size_t>(static_cast<const char*>(p) - base_);
  }
  std::size_t bytes() const { return bytes_; }
  // Whether both ends of [p, p + bytes) belong to an allocation, or to a tensor where it was lent.
  bool allocated(const void* p, std::size_t bytes) const;
  // "byte 20 of a tensor of 16 bytes": the nearest one.
  std::string place(const void* p);

  // Makes the region accessible, and inaccessible again after as many calls of close().
  void open();
  void close();

 private:
  static constexpr std::size_t kGranule = 512;  // allocations begin at multiples, one apart

  static std::size_t round_up(std::size_t bytes) {
    return (bytes + kGranule - 1) / kGranule * kGranule;
  }

  DeviceMemory();
  void set_rights(int rights);

  char* base_;
  std::size_t device_bytes_, bytes_;
  std::vector<std::size_t> used_, high_;  // per device: bytes in use, the highest end so far
  struct Block {
    std::size_t size = 0;
    std::size_t owned = 0;  // the first bytes, which belong to a tensor or to the allocation itself
    bool lent = false;      // by an allocator, to tensors
  };
  void set_owned(std::size_t at, Block& block, std::size_t bytes);  // with the lock held
  std::map<std::size_t, Block> blocks_;                             // by offset
  std::uint16_t* valid_;  // of each granule, how many bytes belong to somebody
  int open_ = 0;
  std::mutex mutex_;
};

// While one lives, device memory can be read and written.
class DeviceMemoryAccess {
 public:
  DeviceMemoryAccess() { DeviceMemory::instance().open(); }
  ~DeviceMemoryAccess() { DeviceMemory::instance().close(); }
  DeviceMemoryAccess(const DeviceMemoryAccess&) = delete;
  DeviceMemoryAccess& operator=(const DeviceMemoryAccess&) = delete;
};

// Of the work of streams that is no kernel: a fault, naming `what`, unless [p, p + bytes) is host
// memory, or the device's and somebody's.
void check_range(std::string_view what, const void* p, std::size_t bytes);

// Whether [p, p + bytes) is host memory that was allocated or registered as pinned.
bool is_pinned(const void* p, std::size_t bytes);

}  // namespace cuda_emulator
