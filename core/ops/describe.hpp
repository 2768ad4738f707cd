// How errors of ops name an operand.
#pragma once

#include <string>

#include "core/tensor/tensor.hpp"

namespace weft {

// "[8, 128, 768] bf16", or "none" for an empty tensor.
inline std::string describe(const Tensor& x) {
  return x ? x.shape().str() + " " + std::string(name_of(x.dtype())) : "none";
}

}  // namespace weft
