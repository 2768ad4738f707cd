// Storage: one allocation of its device's allocator, or memory of others.
#include "core/tensor/storage.hpp"

#include <utility>

namespace weft {

namespace {
std::atomic<std::uint64_t> next_id{1};
}

Storage::Storage(std::size_t bytes, Device device)
    : data_(allocator(device).allocate(bytes)),
      bytes_(bytes),
      device_(device),
      id_(next_id.fetch_add(1, std::memory_order_relaxed)) {}

Storage::Storage(std::shared_ptr<void> memory, std::size_t bytes)
    : data_(memory.get()),
      bytes_(bytes),
      shared_(std::move(memory)),
      id_(next_id.fetch_add(1, std::memory_order_relaxed)) {}

Storage::~Storage() {
  if (!shared_) allocator(device_).deallocate(data_, bytes_);
}

void Storage::move_to(std::shared_ptr<void> memory) {
  if (!shared_) allocator(device_).deallocate(data_, bytes_);
  shared_ = std::move(memory);
  data_ = shared_.get();
}

}  // namespace weft
