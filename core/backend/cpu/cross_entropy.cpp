// Softmax cross entropy over a slice of the vocabulary; probabilities are never stored.
#include <cmath>
#include <limits>
#include <vector>

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/float_rows.hpp"
#include "core/backend/cpu/sums.hpp"
#include "core/backend/fast_math.hpp"

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

// One pass over a row, in blocks that stay in the first-level cache between maximum and sum.
template <class T>
LogSum log_sum(const T* row, std::int64_t columns) {
  Scratch<T> scratch(kBlock);
  LogSum total;
  for_blocks(0, columns, [&](std::int64_t begin, std::int64_t n) {
    const float* const x = load_row(row + begin, scratch, n);
    float maximum = -kInfinity;
#pragma omp simd reduction(max : maximum)
    for (std::int64_t c = 0; c < n; ++c) maximum = x[c] > maximum ? x[c] : maximum;
    LogSum part{maximum, 0};
    const float origin = part.origin();
    part.sum = sum_terms<float>(n, [x, origin](std::int64_t c) { return fast_exp(x[c] - origin); });
    total.add(part);
  });
  return total;
}

}  // namespace

void CpuBackend::cross_entropy_parts(Tensor& parts_N3, const Tensor& logits_NV,
                                     const Tensor& targets_N, std::int64_t first_column) {
  const std::int64_t rows = targets_N.numel(), columns = logits_NV.shape().last();
  const std::int32_t* const target = targets_N.data<std::int32_t>();
  float* const parts = parts_N3.data<float>();
  with_compute_type(logits_NV.dtype(), "cross_entropy", [&]<class T>(T) {
    const T* const logits = logits_NV.data<T>();
    parallel_ranges(rows, columns, [=](std::int64_t first, std::int64_t last) {
      for (std::int64_t n = first; n < last; ++n) {
        const T* const row = logits + n * columns;
        const LogSum all = target[n] < 0 ? LogSum{} : log_sum(row, columns);
        const std::int64_t c = target[n] - first_column;
        parts[3 * n] = all.maximum;
        parts[3 * n + 1] = all.sum;
        parts[3 * n + 2] =
            target[n] >= 0 && c >= 0 && c < columns ? static_cast<float>(row[c]) : -kInfinity;
      }
    });
  });
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
  const std::int64_t rows = targets_N.numel(), columns = logits_NV.shape().last();
  const std::int32_t* const target = targets_N.data<std::int32_t>();
  const float *const lse = lse_N.data<float>(), factor = scale.data<float>()[0];
  with_compute_type(logits_NV.dtype(), "cross_entropy", [&]<class T>(T) {
    T* const pd = dlogits.data<T>();
    const T* const logits = logits_NV.data<T>();
    parallel_ranges(rows, columns, [=](std::int64_t first, std::int64_t last) {
      Scratch<T> scratch(kBlock);
      for (std::int64_t n = first; n < last; ++n) {
        T* const d = pd + n * columns;
        if (target[n] < 0) {
          std::fill_n(d, columns, T(0.0F));
          continue;
        }
        const T* const row = logits + n * columns;
        const float shift = lse[n];
        const std::int64_t c = target[n] - first_column;
        const bool here = c >= 0 && c < columns;
        const float at_target = here ? fast_exp(static_cast<float>(row[c]) - shift) - 1 : 0;
        for_blocks(0, columns, [&](std::int64_t begin, std::int64_t count) {
          const float* const x = load_row(row + begin, scratch, count);
          float* const out = open_row(d + begin, scratch);
#pragma omp simd
          for (std::int64_t i = 0; i < count; ++i) out[i] = fast_exp(x[i] - shift) * factor;
          store_row(d + begin, out, count);
        });
        if (here) store(d[c], at_target * factor);
      }
    });
  });
}

}  // namespace weft
