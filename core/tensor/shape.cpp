// How a shape is written in messages.
#include "core/tensor/shape.hpp"

namespace weft {

std::string Shape::str() const {
  std::string s = "[";
  for (int i = 0; i < rank_; ++i) s += (i ? ", " : "") + std::to_string((*this)[i]);
  return s + "]";
}

}  // namespace weft
