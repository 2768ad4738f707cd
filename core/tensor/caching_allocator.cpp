// The caching allocator, and the CPU's memory for it.
#include "core/tensor/caching_allocator.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdint>
#include <cstdlib>

#include <sys/mman.h>

#include "core/base/error.hpp"
#include "core/tensor/memory_check.hpp"

namespace weft {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Eight classes per power of two: at most 12.5% of a block is slack.
std::size_t size_class(std::size_t bytes) {
  if (bytes <= kAlignment) return kAlignment;
  const std::size_t step = std::max(std::bit_floor(bytes) / 8, kAlignment);
  return (bytes + step - 1) / step * step;
}

}  // namespace

void CachingAllocator::fail(std::size_t size) const {
  throw Error("out of memory: could not allocate " + std::to_string(size) + " bytes on " + name_ +
                  " (" + std::to_string(stats_.in_use) + " in use)",
              "use a smaller micro_batch, or set train.recompute");
}

void* CachingAllocator::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > PTRDIFF_MAX) fail(bytes);  // the size class might overflow
  const std::size_t size = size_class(bytes);
  void* p = nullptr;
  if (auto it = open_->find(size); it != open_->end() && !it->second.empty()) {
    p = it->second.back();
    it->second.pop_back();
  } else {
    p = from_system(size);
    if (p == nullptr) {  // free blocks of other sizes may stand in the way
      release_free_blocks();
      p = from_system(size);
    }
    if (p == nullptr) fail(size);
    stats_.reserved += size;
    if (open_ != &common_) private_of_[p] = open_;
  }
  count_in(p, size);
  mark(p, bytes, size);
  return p;
}

void CachingAllocator::count_in(const void* p, std::size_t size) {
  const MemoryUse use = MemoryScope::current();
  if (use != MemoryUse::workspace) use_of_[p] = use;
  count_up(use, size);
  stats_.in_use += size;
  stats_.peak = std::max(stats_.peak, stats_.in_use);
}

void CachingAllocator::deallocate(void* p, std::size_t bytes) noexcept {
  if (p == nullptr) return;
  const std::size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  mark(p, 0, size);
  const auto owner = private_of_.find(p);
  (owner == private_of_.end() ? common_ : *owner->second)[size].push_back(p);
  count_out(p, size);
}

void CachingAllocator::count_out(const void* p, std::size_t size) {
  stats_.in_use -= size;
  const auto use = use_of_.find(p);
  const auto was = use == use_of_.end() ? MemoryUse::workspace : use->second;
  by_use_[static_cast<std::size_t>(was)] -= size;
  if (use != use_of_.end()) use_of_.erase(use);
}

void CachingAllocator::adopt(void* p, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  stats_.reserved += size_class(bytes);
  count_in(p, size_class(bytes));
}

void CachingAllocator::disown(void* p, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  stats_.reserved -= size_class(bytes);
  count_out(p, size_class(bytes));
}

BytesByUse CachingAllocator::bytes_by_use() const {
  const std::lock_guard lock(mutex_);
  return by_use_;
}

BytesByUse CachingAllocator::peaks_by_use() const {
  const std::lock_guard lock(mutex_);
  return peaks_by_use_;
}

void CachingAllocator::count_up(MemoryUse use, std::size_t size) {
  const auto i = static_cast<std::size_t>(use);
  by_use_[i] += size;
  peaks_by_use_[i] = std::max(peaks_by_use_[i], by_use_[i]);
}

void CachingAllocator::count_as(const Storage& storage, MemoryUse use) {
  const std::size_t size = size_class(storage.bytes());
  const std::lock_guard lock(mutex_);
  const auto entry = use_of_.try_emplace(storage.data(), MemoryUse::workspace).first;
  by_use_[static_cast<std::size_t>(entry->second)] -= size;
  count_up(use, size);
  entry->second = use;
}

void count_as(const Tensor& x, MemoryUse use) {
  caching_allocator(x.device()).count_as(x.storage(), use);
}

AdoptedMemory::AdoptedMemory(void* p, std::size_t bytes, MemoryUse use) : p_(p), bytes_(bytes) {
  const MemoryScope scope(use);
  if (bytes_ > 0) allocator(Device{}).adopt(p_, bytes_);
}

AdoptedMemory::~AdoptedMemory() {
  if (bytes_ > 0) allocator(Device{}).disown(p_, bytes_);
}

MemoryStats CachingAllocator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void CachingAllocator::release_cached() {
  const std::lock_guard lock(mutex_);
  release_free_blocks();
}

void CachingAllocator::release_free_blocks() {
  for (auto& [size, blocks] : common_) {
    for (void* p : blocks) {
      to_system(p, size);
      stats_.reserved -= size;
    }
    blocks.clear();
  }
}

PrivatePool::PrivatePool(CachingAllocator& allocator) : allocator_(&allocator) {
  const std::lock_guard lock(allocator.mutex_);
  assert(allocator.open_ == &allocator.common_);
  allocator.open_ = &blocks_;
}

void PrivatePool::close() {
  const std::lock_guard lock(allocator_->mutex_);
  allocator_->open_ = &allocator_->common_;
}

PrivatePool::~PrivatePool() {
  const std::lock_guard lock(allocator_->mutex_);
  if (allocator_->open_ == &blocks_) allocator_->open_ = &allocator_->common_;
  std::erase_if(allocator_->private_of_, [&](const auto& b) { return b.second == &blocks_; });
  for (auto& [size, blocks] : blocks_) {
    std::vector<void*>& common = allocator_->common_[size];
    common.insert(common.end(), blocks.begin(), blocks.end());
  }
}

void* CpuAllocator::from_system(std::size_t size) {
  const bool large = size >= kHugePage;
  const std::size_t alignment = large ? kHugePage : kAlignment;
  void* p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (p != nullptr && large) madvise(p, size, MADV_HUGEPAGE);
  return p;
}

void CpuAllocator::to_system(void* p, std::size_t size) noexcept {
  allow_access(p, size);
  std::free(p);
}

void CpuAllocator::mark(void* p, std::size_t bytes, std::size_t size) noexcept {
  forbid_access(p, size);
  allow_access(p, bytes);
}

}  // namespace weft
