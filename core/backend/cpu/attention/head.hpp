// What all attention kernels of CPUs share: sizes, one head's part of a tensor, scratch memory.
#pragma once

#include <limits>

#include "core/backend/backend.hpp"

namespace weft {

// Hands out parts of a block of memory; over no memory it only counts.
class Arena {
 public:
  explicit Arena(std::byte* base) : base_(base) {}

  template <class T>
  T* take(std::int64_t count) {
    std::byte* p = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(p);
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

// A matrix [T, d] inside of a larger one.
template <class T>
struct Panel {
  T* data = nullptr;
  std::int64_t stride = 0;  // between rows
  T* row(std::int64_t i) const { return data + i * stride; }
};

struct AttentionSizes {
  std::int64_t B, T, heads, d;

  AttentionSizes(const Tensor& qkv, const AttentionArgs& args)
      : B(qkv.shape()[0]),
        T(qkv.shape()[1]),
        heads(args.heads),
        d(qkv.shape()[2] / (3 * args.heads)) {}

  // Of one head in a fused tensor [B, T, parts * heads * d].
  template <class E>
  Panel<E> panel(E* fused, std::int64_t parts, std::int64_t part, std::int64_t b,
                 std::int64_t h) const {
    const std::int64_t stride = parts * heads * d;
    return {fused + b * T * stride + (part * heads + h) * d, stride};
  }
};

template <class Stored>
void store_rows(const Panel<Stored>& to, std::int64_t first, std::int64_t rows, const float* from,
                std::int64_t from_stride, std::int64_t d) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t c = 0; c < d; ++c)
      to.row(first + i)[c] = static_cast<Stored>(from[i * from_stride + c]);
  }
}

// 0 for keys that may be attended to, -inf for the others.
inline void key_bias(float* bias, const AttentionArgs& args, std::int64_t b, std::int64_t T) {
  const auto* mask = args.key_mask_BT ? args.key_mask_BT.data<std::uint8_t>() + b * T : nullptr;
  for (std::int64_t j = 0; j < T; ++j)
    bias[j] = mask == nullptr || mask[j] != 0 ? 0.0F : -std::numeric_limits<float>::infinity();
}

// The keys of sample b up to the last one that may be attended to: those behind it are padding.
inline std::int64_t keys_of(const AttentionArgs& args, std::int64_t b, std::int64_t T) {
  if (!args.key_mask_BT) return T;
  const auto* mask = args.key_mask_BT.data<std::uint8_t>() + b * T;
  while (T > 0 && mask[T - 1] == 0) --T;
  return T;
}

}  // namespace weft
