// The dims of a tensor: a small value, row-major, at most six dims.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace weft {

class Shape {
 public:
  static constexpr int kMaxRank = 6;
  // So many elements of any dtype have a number of bytes that 63 bits hold.
  static constexpr std::int64_t kMaxElements = std::int64_t{1} << 59;

  Shape() = default;
  // Throws Error unless valid().
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims);

  // Whether no dim is negative and the dims that are not 0 multiply to kMaxElements at most, so
  // that no product of some of them overflows.
  static bool valid(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  // Size of dim i; a negative i counts from the end.
  std::int64_t operator[](int i) const {
    const int k = i < 0 ? i + rank_ : i;
    assert(k >= 0 && k < rank_);
    return dims_[static_cast<std::size_t>(k)];
  }
  std::int64_t numel() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<std::size_t>(i)];
    return n;
  }
  std::int64_t last() const { return (*this)[-1]; }
  // Product of all dims but the last: the number of rows. One row for a rank-0 shape.
  std::int64_t rows() const { return rank_ == 0 ? 1 : (last() == 0 ? 0 : numel() / last()); }
  // This shape with its last dim replaced.
  Shape with_last(std::int64_t n) const {
    std::array<std::int64_t, kMaxRank> dims = dims_;
    assert(rank_ > 0);
    dims[static_cast<std::size_t>(rank_ - 1)] = n;
    return Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(rank_)));
  }
  std::span<const std::int64_t> dims() const {
    return {dims_.data(), static_cast<std::size_t>(rank_)};
  }

  bool operator==(const Shape& o) const {
    if (rank_ != o.rank_) return false;
    for (int i = 0; i < rank_; ++i) {
      if ((*this)[i] != o[i]) return false;
    }
    return true;
  }
  // "[8, 128, 768]"
  std::string str() const;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace weft
