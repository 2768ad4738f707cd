// Differentiable collectives over the tensor axis.
#include "parallel/collectives.hpp"

#include "core/backend/backend.hpp"
#include "core/backend/range.hpp"

namespace weft {

Var copy_to_tensor_ranks(const Var& x, Communicator& c) {
  if (c.size() == 1) return x;
  return record("copy_to_tensor_ranks", x.value(), {x}, [&c](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(dy);  // dy may belong to others too
    backend(dx).copy(dx, dy);
    const Range range("tensor all-reduce");
    c.all_reduce(dx, ReduceOp::sum);
    return {dx};
  });
}

Var reduce_from_tensor_ranks(const Var& x, Communicator& c) {
  if (c.size() == 1) return x;
  Tensor y = x.value();
  {
    const Range range("tensor all-reduce");
    c.all_reduce(y, ReduceOp::sum);
  }
  return record("reduce_from_tensor_ranks", y, {x}, [](const Tensor& dy) -> Grads { return {dy}; });
}

}  // namespace weft
