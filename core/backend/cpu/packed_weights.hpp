// Weights in the form that products read fastest, kept until the weight changes or dies.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/backend/backend.hpp"
#include "core/backend/cpu/onednn.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// One form per (storage, offset, layout). Its memory is a Tensor's, so that the allocator counts
// it; forms of weights that died are dropped whenever one is made. Thread-safe.
class PackedWeights {
 public:
  // `weight` packed for `product`: made anew when its storage's version changed since.
  Tensor get(const Tensor& weight, const std::shared_ptr<const Product>& product);
  // `weight` in f32, for products on a CPU that does not multiply its dtype.
  Tensor widened(const Tensor& weight, Backend& cpu);
  std::size_t size() const;

 private:
  struct Entry {
    std::weak_ptr<const Storage> storage;
    std::size_t offset = 0;
    std::uint64_t version = 0;
    std::shared_ptr<const Product> product;  // any of those that read this layout; null: widened
    Tensor form;
  };
  // The entry that `is` one, up to date; made by `make` and filled by `fill` where need be.
  template <class Is, class Make, class Fill>
  Tensor form(const Tensor& weight, const Is& is, const Make& make, const Fill& fill);

  mutable std::mutex mutex_;
  std::unordered_multimap<std::uint64_t, Entry> entries_;  // by storage id
};

}  // namespace weft
