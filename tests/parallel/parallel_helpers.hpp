// Full parameters and gradients for tests of layers that are cut over ranks, and the ranks.
#pragma once

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "core/autograd/backward.hpp"
#include "core/nn/module.hpp"
#include "core/nn/shard.hpp"
#include "parallel/nccl_communicator.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {

inline bool a_gpu_for_each_rank(const Communicator& c) { return cuda_device_count() >= c.size(); }

// All ranks of the program, connected as the device under test wants it: by NCCL, or through host
// memory when there are fewer GPUs than ranks.
inline std::unique_ptr<Communicator> test_world() {
  if (on_cpu()) return mpi_communicator();
  return nccl_communicator(mpi_communicator(), test_device(),
                           {.on_shared_gpu = [](const std::string&) {}});
}

inline TensorOptions test_options(DType dtype = DType::f32) { return {dtype, test_device()}; }

inline TensorRank tensor_rank(const Communicator& c) {
  return {.rank = c.rank(), .ranks = c.size()};
}

// This rank's part of a full tensor; padding is zero.
inline Tensor part_of(const Tensor& whole, const Parameter& p, const Communicator& tensor) {
  const Tensor full = to_host(whole);
  Tensor part(shard_shape(p.full, p.shard, tensor.size()), full.dtype());
  std::memset(part.raw(), 0, part.bytes());
  const std::size_t width = size_of(full.dtype());
  for (const ShardRun& run : shard_runs(p.full, p.shard, tensor_rank(tensor))) {
    std::memcpy(static_cast<std::byte*>(part.raw()) + static_cast<std::size_t>(run.local) * width,
                static_cast<std::byte*>(full.raw()) + static_cast<std::size_t>(run.full) * width,
                static_cast<std::size_t>(run.count) * width);
  }
  return to_device(part, whole.device());
}

// Random values, biases too, by position in the full tensor: the same model on every layout.
inline void fill_parameters(Module& m, const Communicator& tensor, float scale = 0.5F) {
  std::uint64_t seed = 100;
  for (const NamedParameter& p : parameters(m)) {
    const Tensor value = p.parameter->var.value();
    const Tensor full = make_random(p.parameter->full, ++seed, value.dtype(), scale);
    const Tensor part = part_of(full, *p.parameter, tensor);
    ASSERT_EQ(value.bytes(), part.bytes()) << p.name;
    overwrite(value, part);
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
