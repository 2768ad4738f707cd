// An embedding table whose rows (the vocabulary) are cut over the tensor axis.
#include "parallel/embedding.hpp"

#include <algorithm>
#include <string>

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/nn/shard.hpp"
#include "core/ops/linear.hpp"
#include "core/ops/rows.hpp"
#include "parallel/collectives.hpp"

namespace weft {

namespace {

// The first `rows` rows of a parameter. Its gradient has all rows, those of the padding zero.
Var real_rows(const Var& parameter, std::int64_t rows) {
  const Shape whole = parameter.shape();
  if (rows == whole[0]) return parameter;
  return record("real_rows", parameter.value().narrow(0, rows), {parameter},
                [whole, rows](const Tensor& dy) -> Grads {
                  Tensor dx(whole, dy.dtype(), dy.device());
                  Tensor real = dx.narrow(0, rows);
                  Tensor padding = dx.narrow(rows, whole[0] - rows);
                  backend(dy).copy(real, dy);
                  backend(dy).fill(padding, 0.0F);
                  return {dx};
                });
}

}  // namespace

VocabRange vocab_range(std::int64_t vocab_size, const Communicator& tensor) {
  const int ranks = tensor.size();
  const std::int64_t each = (vocab_size + ranks - 1) / ranks;
  if (each * (ranks - 1) >= vocab_size) {
    throw InputError("model.vocab_size: " + std::to_string(vocab_size) + " rows are too few for " +
                         std::to_string(ranks) + " tensor ranks",
                     "use a smaller parallel.tensor");
  }
  const std::int64_t first = each * tensor.rank();
  return {.first = first, .rows = std::min(each, vocab_size - first)};
}

VocabEmbedding::VocabEmbedding(std::int64_t vocab_size, std::int64_t width, Communicator& tensor,
                               const TensorOptions& options, const Init& init)
    : range_(vocab_range(vocab_size, tensor)), tensor_(&tensor) {
  const Shape full{vocab_size, width};
  const Shard shard{.dim = 0};
  weight_ = {.var = Var(Tensor(shard_shape(full, shard, tensor.size()), options), true),
             .full = full,
             .shard = shard,
             .init = init};
}

Var VocabEmbedding::operator()(const Tensor& ids) const {
  return reduce_from_tensor_ranks(embedding(weight_.var, ids, range_.first), *tensor_);
}

Var VocabEmbedding::logits(const Var& x, const Var& bias) const {
  return linear(copy_to_tensor_ranks(x, *tensor_), real_rows(weight_.var, range_.rows),
                real_rows(bias, range_.rows));
}

void VocabEmbedding::visit(Visitor& v) { v("weight", weight_); }

}  // namespace weft
