// Which shapes there are, and how they are written in messages.
#include "core/tensor/shape.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace weft {

Shape::Shape(std::span<const std::int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  assert(rank_ <= kMaxRank);
  std::copy(dims.begin(), dims.end(), dims_.begin());
  if (!valid(dims)) {
    throw Error("a tensor cannot have the shape " + str(),
                "dims are not negative, and 2^59 elements are the most");
  }
}

bool Shape::valid(std::span<const std::int64_t> dims) {
  std::int64_t n = 1;
  return std::all_of(dims.begin(), dims.end(), [&n](std::int64_t d) {
    return d >= 0 && !__builtin_mul_overflow(n, std::max<std::int64_t>(d, 1), &n) &&
           n <= kMaxElements;
  });
}

std::string Shape::str() const {
  std::string s = "[";
  for (int i = 0; i < rank_; ++i) s += (i ? ", " : "") + std::to_string((*this)[i]);
  return s + "]";
}

}  // namespace weft
