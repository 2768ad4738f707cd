// Softmax cross entropy without a saved probability tensor.
#include "core/ops/cross_entropy.hpp"

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/ops/describe.hpp"

namespace weft {

// loss = sum over n of lse_n - logits[n, target_n];  dlogits = dy (softmax(logits) - onehot),
// computed from the saved log-sum-exp of each row into the logits' own memory.
CrossEntropy cross_entropy(const Var& logits, const Tensor& targets) {
  const Tensor& x = logits.value();
  if (x.shape().rank() != 2 || !(targets.shape() == Shape{x.shape()[0]}) ||
      targets.dtype() != DType::i32) {
    throw Error("cross_entropy: targets " + describe(targets) + " do not fit logits " + describe(x),
                "logits are [rows, vocabulary], targets i32 [rows]");
  }
  const std::int64_t rows = x.shape()[0];
  Tensor parts_1N3({1, rows, 3}, DType::f32, x.device());
  Tensor sums({2}, DType::f32, x.device());
  Tensor lse_N({rows}, DType::f32, x.device());
  backend(x).cross_entropy_parts(parts_1N3, x, targets, 0);
  backend(x).cross_entropy_join(sums, lse_N, parts_1N3, targets);
  const auto backward = [x, targets, lse_N](const Tensor& dy) -> Grads {
    Tensor dx = x;
    backend(dy).cross_entropy_backward(dx, x, targets, lse_N, dy, 0);
    return {dx};
  };
  return {.loss = record("cross_entropy", sums.narrow(0, 1), {logits}, backward),
          .correct = sums.narrow(1, 1)};
}

}  // namespace weft
