// One tensor of a stored model or optimizer, and where this rank's part of it lies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/io/sharded.hpp"
#include "core/nn/shard.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// `name` stands whole in a file; its values are rows [first, first + shape[0]) of a parameter, of
// which this rank holds `local`. A fused qkv parameter makes three of these with one `local`.
struct StateTensor {
  std::string name;        // "bert.pooler.dense.weight", "exp_avg.bert.pooler.dense.weight"
  Shape shape;             // as stored
  Tensor local;            // this rank's part of the parameter, of shard_shape(full, shard)
  Shape full;              // the whole parameter
  Shard shard;             // how it is cut over the tensor axis
  std::int64_t first = 0;  // first row in the whole parameter
};

// The runs of `at`'s part that belong to the stored tensor: `full` counts elements of the stored
// tensor, `local` elements of the part. Padding belongs to no run.
std::vector<ShardRun> state_runs(const StateTensor& tensor, const TensorRank& at);

// The stored tensor, whole, on the host of rank `root` of the tensor group; empty on the others.
// Collective over the group. A tensor that `root` holds whole is not sent, and a view if it is on
// the host.
Tensor gather_state(const StateTensor& tensor, int root, Communicator& group);

// Throws InputError with both shapes when a file's tensor has another one.
void check_shape(const StateTensor& tensor, const ShardedFiles::Entry& from);

// Fills this rank's part from a file, rounding to its dtype (f32, bf16, f16); padding becomes zero.
// Throws as check_shape().
void read_state(const StateTensor& tensor, const ShardedFiles::Entry& from, const TensorRank& at);

}  // namespace weft
