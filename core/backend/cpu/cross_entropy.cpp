// Softmax cross entropy over a slice of the vocabulary; probabilities are never stored.
#include <cmath>
#include <limits>
#include <vector>

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/loops.hpp"

namespace weft {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A maximum and the sum of exp(value - maximum): the part of a log-sum-exp that has been seen.
struct LogSum {
  float maximum = -kInfinity;
  float sum = 0;

  // What values relative to the maximum are measured from; finite, so that a part without any
  // finite value counts as nothing instead of as -inf - -inf = NaN.
  float origin() const { return maximum == -kInfinity ? 0 : maximum; }

  // Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
  void add(const LogSum& other) {
    LogSum joined{std::max(maximum, other.maximum), 0};
    joined.sum = sum * std::exp(maximum - joined.origin()) +
                 other.sum * std::exp(other.maximum - joined.origin());
    *this = joined;
  }
};

}  // namespace

}  // namespace weft

#define WEFT_KERNELS "core/backend/cpu/cross_entropy.inc"
#include "core/backend/cpu/simd/for_each_level.inc"

namespace weft {

void CpuBackend::cross_entropy_parts(Tensor& parts_N3, const Tensor& logits_NV,
                                     const Tensor& targets_N, std::int64_t first_column) {
  for_this_cpu(baseline::cross_entropy_parts, avx512::cross_entropy_parts)(parts_N3, logits_NV,
                                                                           targets_N, first_column);
}

void CpuBackend::cross_entropy_join(Tensor& sums, Tensor& lse_N, const Tensor& parts_tN3,
                                    const Tensor& targets_N) {
  const std::int64_t rows = targets_N.numel();
  const std::int64_t ranks = rows == 0 ? 0 : parts_tN3.numel() / (3 * rows);
  const std::int32_t* const target = targets_N.data<std::int32_t>();
  const float* const parts = parts_tN3.data<float>();
  float* const lse = lse_N.data<float>();
  struct Row {
    double loss = 0;
    bool correct = false;
  };
  std::vector<Row> results(static_cast<std::size_t>(rows));
  Row* const result = results.data();
  constexpr std::int64_t kCost = 32;  // an exponential or two per rank, and a logarithm
  parallel_ranges(rows, kCost * ranks, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t n = first; n < last; ++n) {
      lse[n] = 0;
      if (target[n] < 0) continue;
      LogSum all;
      float logit = -kInfinity;
      for (std::int64_t r = 0; r < ranks; ++r) {
        const float* const part = parts + 3 * (r * rows + n);
        all.add({part[0], part[1]});
        logit = std::max(logit, part[2]);
      }
      const double log_of_sum = std::log(double{all.sum});
      lse[n] = static_cast<float>(double{all.maximum} + log_of_sum);
      result[n] = {double{all.maximum} - double{logit} + log_of_sum, logit == all.maximum};
    }
  });
  double loss = 0, correct = 0;  // in the order of the rows, whatever the threads
  for (const Row& row : results) {
    loss += row.loss;
    correct += row.correct ? 1 : 0;
  }
  sums.data<float>()[0] = static_cast<float>(loss);
  sums.data<float>()[1] = static_cast<float>(correct);
}

void CpuBackend::cross_entropy_backward(Tensor& dlogits, const Tensor& logits_NV,
                                        const Tensor& targets_N, const Tensor& lse_N,
                                        const Tensor& scale, std::int64_t first_column) {
  for_this_cpu(baseline::cross_entropy_backward, avx512::cross_entropy_backward)(
      dlogits, logits_NV, targets_N, lse_N, scale, first_column);
}

}  // namespace weft
