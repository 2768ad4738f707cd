// Parameters one behind the other in a flat array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/part.hpp"
#include "core/nn/module.hpp"

namespace weft {

// In the order given, each from a cache line on, whatever its dtype; and the parts into which ranks
// cut the array, at cache lines too.
class FlatLayout {
 public:
  explicit FlatLayout(const std::vector<NamedParameter>& parameters);

  std::int64_t elements() const { return elements_; }  // with the gaps
  // Where a parameter begins.
  std::int64_t first(std::size_t parameter) const { return firsts_[parameter]; }
  // A tensor of each parameter's shape in a flat array.
  std::vector<Tensor> views(const Tensor& flat) const;

  static Part part(std::int64_t elements, int rank, int ranks);
  // What a part of the array has of a parameter, counted from where that begins.
  Part within(const Part& part, std::size_t parameter) const;

 private:
  std::vector<std::int64_t> firsts_;
  std::vector<Shape> shapes_;
  std::int64_t elements_ = 0;
};

}  // namespace weft
