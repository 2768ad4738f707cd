// Linear layers cut over the tensor axis.
#include "parallel/linear.hpp"

#include <string>

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/nn/shard.hpp"
#include "core/ops/linear.hpp"
#include "parallel/collectives.hpp"

namespace weft {

namespace {

Parameter weight(const Shape& full, const Shard& shard, int ranks, const LinearOptions& o) {
  return {.var = Var(Tensor(shard_shape(full, shard, ranks), o.parameters), true),
          .full = full,
          .shard = shard,
          .init = {.kind = Init::Kind::normal, .std = o.init_std}};
}

Parameter zero_bias(std::int64_t features, const Shard& shard, int ranks, const LinearOptions& o) {
  return {.var = Var(Tensor(shard_shape({features}, shard, ranks), o.parameters), true),
          .full = {features},
          .shard = shard,
          .init = {},
          .decay = false};
}

// The group that a layer is cut over, or null.
Communicator* cut_over(Communicator& tensor, const LinearOptions& options) {
  return options.replicate || tensor.size() == 1 ? nullptr : &tensor;
}

int ranks_of(const Communicator* tensor) { return tensor ? tensor->size() : 1; }

std::string layer_name(const char* kind, std::int64_t in, std::int64_t out) {
  return std::string(kind) + " layer of " + std::to_string(in) + " to " + std::to_string(out) +
         " features: ";
}

}  // namespace

void require_divides(std::string_view what, std::int64_t count, int tensor_ranks) {
  if (count % tensor_ranks == 0) return;
  throw InputError(
      std::string(what) + " do not divide over " + std::to_string(tensor_ranks) + " tensor ranks",
      "choose parallel.tensor so that it divides " + std::to_string(count));
}

ColumnLinear::ColumnLinear(std::int64_t in, std::int64_t out, Communicator& tensor,
                           const LinearOptions& options)
    : tensor_(cut_over(tensor, options)) {
  const int ranks = ranks_of(tensor_);
  const std::int64_t each = out / options.segments;
  require_divides(layer_name("column", in, out) + std::to_string(each) + " output features", each,
                  ranks);
  const Shard shard = options.replicate ? Shard{} : Shard{.dim = 0, .segments = options.segments};
  weight_ = weight({out, in}, shard, ranks, options);
  bias_ = zero_bias(out, shard, ranks, options);
}

Var ColumnLinear::whole_input(const Var& x) const {
  return tensor_ ? copy_to_tensor_ranks(x, *tensor_) : x;
}

Var ColumnLinear::operator()(const Var& x) const {
  return linear(whole_input(x), weight_.var, bias_.var);
}

Var ColumnLinear::operator()(const Var& x, Activation f) const {
  return linear_activation(whole_input(x), weight_.var, bias_.var, f);
}

void ColumnLinear::visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
}

RowLinear::RowLinear(std::int64_t in, std::int64_t out, Communicator& tensor,
                     const LinearOptions& options)
    : tensor_(cut_over(tensor, options)) {
  const int ranks = ranks_of(tensor_);
  const std::int64_t each = in / options.segments;
  require_divides(layer_name("row", in, out) + std::to_string(each) + " input features", each,
                  ranks);
  const Shard shard = options.replicate ? Shard{} : Shard{.dim = 1, .segments = options.segments};
  weight_ = weight({out, in}, shard, ranks, options);
  bias_ = zero_bias(out, {}, ranks, options);
}

Var RowLinear::product(const Var& x) const {
  const Var partial = linear(x, weight_.var);
  return tensor_ ? reduce_from_tensor_ranks(partial, *tensor_) : partial;
}

// The value of the bias enters the sum once, on the first rank; its gradient, the same on all
// ranks, is taken on each.
Var RowLinear::operator()(const Var& x) const {
  if (!tensor_) return linear(x, weight_.var, bias_.var);
  const Var once = tensor_->rank() == 0 ? Var(bias_.var.value()) : Var{};
  const Var y = reduce_from_tensor_ranks(linear(x, weight_.var, once), *tensor_);
  return record("row_bias", y.value(), {y, bias_.var},
                [features = bias_.var.shape()](const Tensor& dy) -> Grads {
                  Tensor dbias(features, DType::f32, dy.device());
                  backend(dy).sum_rows(dbias, dy.reshape({dy.shape().rows(), dy.shape().last()}));
                  return {dy, dbias};
                });
}

void RowLinear::visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
}

}  // namespace weft
