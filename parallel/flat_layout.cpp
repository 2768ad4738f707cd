// Parameters one behind the other in a flat array.
#include "parallel/flat_layout.hpp"

#include <algorithm>

namespace weft {

namespace {
constexpr std::int64_t kLine = 32;  // elements: 64 bytes of the narrowest dtype
}

FlatLayout::FlatLayout(const std::vector<NamedParameter>& parameters) {
  for (const NamedParameter& p : parameters) {
    shapes_.push_back(p.parameter->var.shape());
    firsts_.push_back(elements_);
    elements_ += (shapes_.back().numel() + kLine - 1) / kLine * kLine;
  }
}

std::vector<Tensor> FlatLayout::views(const Tensor& flat) const {
  std::vector<Tensor> views;
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    views.push_back(flat.slice_flat(firsts_[i], shapes_[i]));
  }
  return views;
}

Part FlatLayout::part(std::int64_t elements, int rank, int ranks) {
  return part_of(elements, kLine, rank, ranks);
}

Part FlatLayout::within(const Part& part, std::size_t parameter) const {
  const std::int64_t n = shapes_[parameter].numel(), begin = firsts_[parameter];
  return {.first = std::clamp(part.first - begin, std::int64_t{0}, n),
          .last = std::clamp(part.last - begin, std::int64_t{0}, n)};
}

}  // namespace weft
