// The elementwise half of attention with oneDNN: whole rows of scores to probabilities, and back.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/backend/cpu/loops.hpp"
#include "core/backend/fast_math.hpp"

namespace weft {

struct RowSum {
  float inverse;  // of the sum of exponentials; 0 for a row without keys
  float lse;      // log-sum-exp of the scores; -inf for a row without keys
};

// Which of a row's probabilities to keep: those whose random number is not below the threshold. A
// threshold of 0 keeps all.
struct Keep {
  const std::uint32_t* bits;
  std::uint32_t threshold;
};

// p[j] = exp(score_j - highest) or, where dropped, 0; score_j = s[j] * scale + bias[j], for j < n:
// the softmax and dropout but for two factors. bias is 0 or -inf (a masked key). s is overwritten;
// p may be s.
template <class T>
RowSum exponentials(T* p, float* s, const float* bias, float scale, const Keep& keep,
                    std::int64_t n) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  float highest = -kInf;
#pragma omp simd reduction(max : highest)
  for (std::int64_t j = 0; j < n; ++j) {
    s[j] = s[j] * scale + bias[j];
    highest = s[j] > highest ? s[j] : highest;
  }
  if (highest == -kInf) {
    // Every key is masked, unless the scores are NaN.
    bool masked = true;
    for (std::int64_t j = 0; j < n; ++j) masked = masked && s[j] == -kInf;
    for (std::int64_t j = 0; j < n; ++j) store(p[j], masked ? 0.0F : s[j]);
    return masked ? RowSum{0, -kInf} : RowSum{NAN, NAN};
  }
  // Locals: g++ does not vectorise loops over what it reaches through a reference or a reduction.
  const float shift = highest;
  const std::uint32_t* bits = keep.bits;
  const std::uint32_t threshold = keep.threshold;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < n; ++j) {
    const float e = fast_exp(s[j] - shift);
    sum += e;
    store(p[j],
          e * (bits[j] >= threshold ? 1.0F : 0.0F));  // a choice of e or 0 would not vectorise
  }
  return {1.0F / sum, highest + std::log(sum)};
}

// One row of the softmax's backward. s holds the products q k^T, dp the gradients dout v^T; both
// are overwritten (p may be s, ds may be dp). With m_j = 0 for a dropped probability, else
// keep_scale:
//   p_j  = softmax_j m_j                              the probability that met the values
//   ds_j = softmax_j (dp_j m_j - D) scale,  D = sum_j p_j dp_j = dout . out
struct RowBackward {
  const float* bias;
  float scale, lse, D, keep_scale;
  Keep keep;

  template <class T>
  void operator()(T* p, T* ds, const float* s, const float* dp, std::int64_t n) const {
    // A row without keys (lse = -inf) has probabilities 0.
    const std::uint32_t* bits = keep.bits;
    const std::uint32_t threshold = keep.threshold;
    const float shift = lse == -std::numeric_limits<float>::infinity() ? -lse : lse;
#pragma omp simd
    for (std::int64_t j = 0; j < n; ++j) {
      const float softmax = fast_exp(s[j] * scale + bias[j] - shift);
      const float m = bits[j] >= threshold ? keep_scale : 0.0F;
      const float gradient = softmax * (dp[j] * m - D) * scale;
      store(p[j], softmax * m);
      store(ds[j], gradient);
    }
  }
};

}  // namespace weft
