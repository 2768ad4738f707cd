// What memory is for: allocators count their bytes by it.
#pragma once

#include <array>
#include <cstddef>

namespace weft {

enum class MemoryUse {
  weights,  // parameters in the compute dtype
  gradients,
  optimizer,    // moments, and fp32 masters of 16-bit weights
  activations,  // what a forward and a backward pass make
  workspace     // what nobody names: scratch of kernels, packed weights, batches, scalars
};

constexpr std::size_t kMemoryUses = 5;
// In the order of the enumeration.
constexpr std::array<const char*, kMemoryUses> kMemoryUseNames = {
    "weights", "gradients", "optimizer", "activations", "workspace"};

// Bytes, in the order of the enumeration.
using BytesByUse = std::array<std::size_t, kMemoryUses>;

// While it lives, storages made by this thread count as `use`; scopes nest.
class MemoryScope {
 public:
  explicit MemoryScope(MemoryUse use) : before_(current_) { current_ = use; }
  ~MemoryScope() { current_ = before_; }
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

  static MemoryUse current() { return current_; }

 private:
  static inline thread_local MemoryUse current_ = MemoryUse::workspace;
  MemoryUse before_;
};

}  // namespace weft
