// Cross entropy over logits whose vocabulary is cut over the tensor axis.
#include "parallel/cross_entropy.hpp"

#include "core/backend/backend.hpp"

namespace weft {

// Each rank reduces its columns to three numbers per row; only those travel, and the gradient of a
// rank's logits needs no communication.
CrossEntropy vocab_cross_entropy(const Var& logits, const Tensor& targets,
                                 std::int64_t first_column, Communicator& tensor) {
  const Tensor& x = logits.value();
  const std::int64_t N = x.shape()[0];
  Backend& device = backend(x);

  Tensor parts_N3({N, 3}, DType::f32, x.device());
  device.cross_entropy_parts(parts_N3, x, targets, first_column);
  Tensor parts_tN3 = parts_N3.reshape({1, N, 3});
  if (tensor.size() > 1) {
    parts_tN3 = Tensor({tensor.size(), N, 3}, DType::f32, x.device());
    tensor.all_gather(parts_tN3, parts_N3);
  }
  Tensor sums({2}, DType::f32, x.device());
  Tensor lse_N({N}, DType::f32, x.device());
  device.cross_entropy_join(sums, lse_N, parts_tN3, targets);

  const auto backward = [x, targets, lse_N, first_column](const Tensor& dy) -> Grads {
    Tensor dx = x;  // the logits' memory: nothing reads them any more
    backend(x).cross_entropy_backward(dx, x, targets, lse_N, dy, first_column);
    return {dx};
  };
  return {.loss = record("vocab_cross_entropy", sums.narrow(0, 1), {logits}, backward),
          .correct = sums.narrow(1, 1)};
}

}  // namespace weft
