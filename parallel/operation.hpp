// What the communicators tell of an operation that failed, and what they ask of its operands.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// "f32 [3, 4]"
inline std::string operand(const Tensor& x) {
  return fmt::format("{} {}", name_of(x.dtype()), x.shape().str());
}

[[noreturn]] inline void refuse(std::string_view operation, const Communicator& c,
                                const std::string& what) {
  throw Error(fmt::format("{} on rank {} of {}: {}", operation, c.rank(), c.size(), what));
}

// Throws Error unless `blocks` holds one tensor like `one` for each rank.
inline void require_blocks(std::string_view operation, const Communicator& c, const Tensor& blocks,
                           const Tensor& one) {
  if (blocks.numel() == one.numel() * c.size() && blocks.dtype() == one.dtype()) return;
  refuse(operation, c,
         fmt::format("{} is not {} blocks of {}", operand(blocks), c.size(), operand(one)));
}

}  // namespace weft
