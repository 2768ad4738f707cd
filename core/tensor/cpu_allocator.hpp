// The CPU's caching allocator: freed blocks are kept by size class and handed out again.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "core/tensor/storage.hpp"

namespace weft {

// Training allocates the same sizes every step; returning large blocks to the system each time
// would cost a page fault per 4 KiB. Thread-safe: communication and loader threads allocate too.
class CpuAllocator final : public Allocator {
 public:
  ~CpuAllocator() override;
  void* allocate(std::size_t bytes) override;
  void deallocate(void* p, std::size_t bytes) noexcept override;
  MemoryStats stats() const override;
  void release_cached() override;

 private:
  void release_free_blocks();  // with the lock held

  mutable std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;  // by size class
  MemoryStats stats_;
};

}  // namespace weft
