// The caching allocator: freed blocks are kept by size class and handed out again.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tensor/memory_use.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// Training allocates the same sizes every step; going to the system each time would cost page
// faults on the CPU, and a synchronisation on a GPU. Thread-safe: communication and loader threads
// allocate too.
//
// A freed block is handed out again at once. On a GPU that is right because work is done in the
// order in which it was issued: what still reads the block was issued before. Whoever lets another
// stream read a tensor keeps it until the compute stream has waited for that.
class CachingAllocator : public Allocator {
 public:
  void* allocate(std::size_t bytes) final;
  void deallocate(void* p, std::size_t bytes) noexcept final;
  MemoryStats stats() const final;
  void release_cached() final;
  void adopt(void* p, std::size_t bytes) final;
  void disown(void* p, std::size_t bytes) noexcept final;

  // What stats().in_use consists of, and the highest that each part of it was since the start. A
  // block counts as MemoryScope::current() of the thread that allocated it, until it is counted as
  // something else.
  BytesByUse bytes_by_use() const;
  BytesByUse peaks_by_use() const;
  void count_as(const Storage& storage, MemoryUse use);

 protected:
  // `name` is the device's in messages. Derived classes call release_cached() when destroyed.
  explicit CachingAllocator(std::string name) : name_(std::move(name)) {}

 private:
  friend class PrivatePool;
  using Pool = std::map<std::size_t, std::vector<void*>>;  // free blocks by size class

  virtual void* from_system(std::size_t bytes) = 0;  // 64-byte aligned; null when there is none
  virtual void to_system(void* p, std::size_t bytes) noexcept = 0;
  // Tells whatever checks memory that of a block's `size` bytes the first `bytes` belong to
  // somebody from now on: what was asked for, or nothing.
  virtual void mark(void* p, std::size_t bytes, std::size_t size) noexcept = 0;
  void release_free_blocks();  // with the lock held, as the next
  void count_in(const void* p, std::size_t size);
  void count_out(const void* p, std::size_t size);
  void count_up(MemoryUse use, std::size_t size);
  [[noreturn]] void fail(std::size_t size) const;

  std::string name_;
  mutable std::mutex mutex_;
  Pool common_;
  Pool* open_ = &common_;                        // where new blocks come from
  std::unordered_map<void*, Pool*> private_of_;  // blocks that return to a private pool
  MemoryStats stats_;
  BytesByUse by_use_ = {}, peaks_by_use_ = {};
  std::unordered_map<const void*, MemoryUse> use_of_;  // blocks in use, but those of the workspace
};

// That of a device: there are no others.
CachingAllocator& caching_allocator(Device device);

// What a tensor's memory is from now on. It may be memory of other tensors too.
void count_as(const Tensor& x, MemoryUse use);

// Host memory that is not the allocator's, counted with its own as long as this lives.
class AdoptedMemory {
 public:
  AdoptedMemory(void* p, std::size_t bytes, MemoryUse use);  // nothing when there are no bytes
  ~AdoptedMemory();
  AdoptedMemory(const AdoptedMemory&) = delete;
  AdoptedMemory& operator=(const AdoptedMemory&) = delete;

 private:
  void* p_;
  std::size_t bytes_;
};

// Blocks set aside: those allocated until close() return here when they are freed, so that nobody
// else is given them as long as the pool lives. For work that is done again on the same memory.
class PrivatePool {
 public:
  explicit PrivatePool(CachingAllocator& allocator);  // none of which has an open pool
  ~PrivatePool();  // its blocks become common, those in use when they are freed
  PrivatePool(const PrivatePool&) = delete;
  PrivatePool& operator=(const PrivatePool&) = delete;
  void close();

 private:
  CachingAllocator* allocator_;
  CachingAllocator::Pool blocks_;
};

class CpuAllocator final : public CachingAllocator {
 public:
  CpuAllocator() : CachingAllocator("cpu") {}
  ~CpuAllocator() override { release_cached(); }

 private:
  void* from_system(std::size_t bytes) override;
  void to_system(void* p, std::size_t bytes) noexcept override;
  void mark(void* p, std::size_t bytes, std::size_t size) noexcept override;
};

}  // namespace weft
