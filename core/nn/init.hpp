// Initial values of parameters.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/nn/module.hpp"
#include "core/nn/shard.hpp"

namespace weft {

// Fills this rank's part of every parameter. A value is a pure function of (seed, dotted name,
// position in the full tensor), so every layout starts from the same model; padding is zero.
void initialize(Module& m, std::uint64_t seed, const TensorRank& at);
void initialize(const NamedParameter& p, std::uint64_t seed, const TensorRank& at);

}  // namespace weft
