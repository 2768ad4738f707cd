// Weights in the layout that a product reads fastest, kept until the weight changes or dies.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/backend/cpu/onednn.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// One packed form per (storage, offset, layout). Its memory is a Tensor's, so that the allocator
// counts it; forms of weights that died are dropped whenever something is packed. Thread-safe.
class PackedWeights {
 public:
  // `weight` packed for `product`: made anew when its storage's version changed since.
  Tensor get(const Tensor& weight, const std::shared_ptr<const Product>& product);
  std::size_t size() const;

 private:
  struct Entry {
    std::weak_ptr<const Storage> storage;
    std::size_t offset = 0;
    std::uint64_t version = 0;
    std::shared_ptr<const Product> product;  // any of those that read this layout
    Tensor packed;
  };
  mutable std::mutex mutex_;
  std::unordered_multimap<std::uint64_t, Entry> entries_;  // by storage id
};

}  // namespace weft
