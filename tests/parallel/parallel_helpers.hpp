// Full parameters and gradients for tests of layers that are cut over ranks.
#pragma once

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "core/autograd/backward.hpp"
#include "core/nn/module.hpp"
#include "core/nn/shard.hpp"
#include "parallel/communicator.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {

inline TensorRank tensor_rank(const Communicator& c) {
  return {.rank = c.rank(), .ranks = c.size()};
}

// This rank's part of a full tensor; padding is zero.
inline Tensor part_of(const Tensor& full, const Parameter& p, const Communicator& tensor) {
  Tensor part(shard_shape(p.full, p.shard, tensor.size()), full.dtype());
  std::memset(part.raw(), 0, part.bytes());
  const std::size_t width = size_of(full.dtype());
  for (const ShardRun& run : shard_runs(p.full, p.shard, tensor_rank(tensor))) {
    std::memcpy(static_cast<std::byte*>(part.raw()) + static_cast<std::size_t>(run.local) * width,
                static_cast<std::byte*>(full.raw()) + static_cast<std::size_t>(run.full) * width,
                static_cast<std::size_t>(run.count) * width);
  }
  return part;
}

// Random values, biases too, by position in the full tensor: the same model on every layout.
inline void fill_parameters(Module& m, const Communicator& tensor, float scale = 0.5F) {
  std::uint64_t seed = 100;
  for (const NamedParameter& p : parameters(m)) {
    const Tensor value = p.parameter->var.value();
    const Tensor full = make_random(p.parameter->full, ++seed, value.dtype(), scale);
    const Tensor part = part_of(full, *p.parameter, tensor);
    ASSERT_EQ(value.bytes(), part.bytes()) << p.name;
    std::memcpy(value.raw(), part.raw(), value.bytes());
    value.storage().bump_version();
  }
}

// The gradients on this rank against those of one rank, whose parameters are whole.
inline void expect_parts(Module& m, const GradMap& grads, const Communicator& tensor, Module& whole,
                         const GradMap& whole_grads, double tolerance) {
  const std::vector<NamedParameter> mine = parameters(m);
  const std::vector<NamedParameter> full = parameters(whole);
  ASSERT_EQ(mine.size(), full.size());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    const Tensor g = grads[mine[i].parameter->var];
    const Tensor g_full = whole_grads[full[i].parameter->var];
    ASSERT_TRUE(g && g_full) << mine[i].name;
    EXPECT_TRUE(close(g, part_of(g_full, *mine[i].parameter, tensor), tolerance)) << mine[i].name;
  }
}

}  // namespace weft
