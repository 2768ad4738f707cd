// Dropout.
#include "core/ops/dropout.hpp"

#include "core/base/error.hpp"
#include "core/ops/describe.hpp"

namespace weft {

// dx = dy where kept, scaled like y: the same kernel on dy.
Var dropout(const Var& x, float p, Pass& pass) {
  if (!(p >= 0 && p < 1)) {
    throw Error("dropout: p = " + std::to_string(p) + " on " + describe(x.value()),
                "p is a probability below 1");
  }
  const std::int64_t batch = x.shape().rank() == 0 ? 1 : x.shape()[0];
  const Dropout mask = pass.next_dropout(p, batch == 0 ? 0 : x.shape().numel() / batch);
  if (mask.p == 0) return x;
  Tensor y = empty_like(x.value());
  backend(y).dropout(y, x.value(), mask);
  return record("dropout", y, {x}, [mask](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(dy);
    backend(dy).dropout(dx, dy, mask);
    return {dx};
  });
}

}  // namespace weft
