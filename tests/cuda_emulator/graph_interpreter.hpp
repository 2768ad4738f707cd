// Computation graphs evaluated on the host, one operation after the other in fp64.
#pragma once

#include <span>

#include "core/backend/cuda/tensor_graph.hpp"

namespace weft {

// Rounds where a value is in memory, and nowhere else. What an operation leaves undefined becomes
// NaN. Random number i of a Bernoulli operation keeps its element iff
// philox_u32({.seed = seed}, offset + i) >= drop_threshold(1 - keep).
void interpret(const graph::Graph& graph, std::span<const graph::Binding> memory);

}  // namespace weft
