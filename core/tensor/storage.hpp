// Memory behind tensors: reference-counted, drawn from the device's caching allocator or lent.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/tensor/device.hpp"

namespace weft {

struct MemoryStats {
  std::size_t in_use = 0;    // bytes of live storages (rounded up to the allocator's size classes)
  std::size_t peak = 0;      // highest in_use since the start
  std::size_t reserved = 0;  // bytes held from the system, the pool's free blocks included
};

class Allocator {
 public:
  virtual ~Allocator() = default;
  // 64-byte aligned. Throws Error naming the size when there is no memory, not even after
  // release_cached().
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void deallocate(void* p, std::size_t bytes) noexcept = 0;
  virtual MemoryStats stats() const = 0;
  virtual void release_cached() = 0;  // gives free blocks back to the system
  // Memory that is not the allocator's, counted with its own from now on, until it is disowned.
  virtual void adopt(void* p, std::size_t bytes) = 0;
  virtual void disown(void* p, std::size_t bytes) noexcept = 0;
};

// The allocator of a device; lives as long as the process.
Allocator& allocator(Device device);

class Storage {
 public:
  Storage(std::size_t bytes, Device device);
  // Host memory that others own, too, 64-byte aligned; no allocator counts it on its own account.
  Storage(std::shared_ptr<void> memory, std::size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  // From now on it is other memory of its size, for all who have it: host memory with the same
  // content, that others own, too.
  void move_to(std::shared_ptr<void> memory);

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

  // Unique for the life of the process, never reused: with version() it keys derived forms such as
  // packed weights.
  std::uint64_t id() const { return id_; }
  // Whoever writes parameters in place calls bump_version() afterwards.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  void bump_version() { version_.fetch_add(1, std::memory_order_acq_rel); }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_;
  std::shared_ptr<void> shared_;  // none when the memory is the allocator's
  std::uint64_t id_ = 0;
  std::atomic<std::uint64_t> version_{0};
};

}  // namespace weft
