// Attention in fp64 as the textbook has it: whole T x T matrices, the softmax's full Jacobian.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "core/backend/backend.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {

struct AttentionReference {
  std::vector<double> out, lse, dqkv;
};

// One (sample, head) of the reference.
class ReferenceHead {
 public:
  ReferenceHead(const std::vector<float>& qkv, const std::vector<float>& mask, const Shape& shape,
                const AttentionArgs& args, std::span<const double> factors, std::int64_t b,
                std::int64_t h)
      : qkv_(qkv),
        mask_(mask),
        args_(args),
        factors_(factors),
        T_(shape[1]),
        heads_(args.heads),
        b_(b),
        h_(h) {
    d_ = shape[2] / (3 * heads_);
    p_.resize(size(T_ * T_));
    keep_.resize(size(T_ * T_));
    for (std::int64_t i = 0; i < T_; ++i) softmax_row(i);
  }

  double out(std::int64_t i, std::int64_t c) const {
    double sum = 0;
    for (std::int64_t j = 0; j < T_; ++j) sum += p_[at(i, j)] * keep_[at(i, j)] * x(2, j, c);
    return sum;
  }
  double lse(std::int64_t i) const { return lse_[size(i)]; }

  // Adds this head's part to the gradient of qkv; dout [B, T, heads d].
  void backward(std::vector<double>& dqkv, const std::vector<float>& dout) const {
    for (std::int64_t i = 0; i < T_; ++i) {
      std::vector<double> dp(size(T_)), ds(size(T_));
      for (std::int64_t j = 0; j < T_; ++j) {
        for (std::int64_t c = 0; c < d_; ++c) {
          const double dy = dout[size((b_ * T_ + i) * heads_ * d_ + h_ * d_ + c)];
          dp[size(j)] += dy * x(2, j, c) * keep_[at(i, j)];
          dqkv[index(2, j, c)] += dy * p_[at(i, j)] * keep_[at(i, j)];
        }
      }
      for (std::int64_t j = 0; j < T_; ++j) {
        for (std::int64_t k = 0; k < T_; ++k)
          ds[size(j)] += dp[size(k)] * p_[at(i, k)] * ((j == k ? 1.0 : 0.0) - p_[at(i, j)]);
      }
      for (std::int64_t j = 0; j < T_; ++j) {
        for (std::int64_t c = 0; c < d_; ++c) {
          dqkv[index(0, i, c)] += ds[size(j)] * x(1, j, c) * double{args_.scale};
          dqkv[index(1, j, c)] += ds[size(j)] * x(0, i, c) * double{args_.scale};
        }
      }
    }
  }

 private:
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
  std::size_t at(std::int64_t i, std::int64_t j) const { return size(i * T_ + j); }
  // Element c of token i's query (part 0), key (1) or value (2).
  std::size_t index(std::int64_t part, std::int64_t i, std::int64_t c) const {
    return size((b_ * T_ + i) * 3 * heads_ * d_ + (part * heads_ + h_) * d_ + c);
  }
  double x(std::int64_t part, std::int64_t i, std::int64_t c) const {
    return qkv_[index(part, i, c)];
  }

  void softmax_row(std::int64_t i) {
    double sum = 0;
    for (std::int64_t j = 0; j < T_; ++j) {
      const bool seen =
          (!args_.causal || j <= i) && (mask_.empty() || mask_[size(b_ * T_ + j)] != 0);
      double score = 0;
      for (std::int64_t c = 0; c < d_; ++c) score += x(0, i, c) * x(1, j, c);
      p_[at(i, j)] = seen ? std::exp(score * double{args_.scale}) : 0.0;
      sum += p_[at(i, j)];

      if (!factors_.empty()) {
        keep_[at(i, j)] = factors_[size(((b_ * heads_ + h_) * T_ + i) * T_ + j)];
        continue;
      }
      const std::int64_t element =
          (((args_.first_sample + b_) * args_.total_heads + args_.first_head + h_) * T_ + i) * T_ +
          j;
      const bool kept = philox_u32(args_.dropout_key, static_cast<std::uint64_t>(element)) >=
                        drop_threshold(args_.dropout_p);
      keep_[at(i, j)] = kept ? 1 / (1 - double{args_.dropout_p}) : 0.0;
    }
    lse_.push_back(std::log(sum));
    for (std::int64_t j = 0; j < T_ && sum > 0; ++j) p_[at(i, j)] /= sum;
  }

  const std::vector<float>& qkv_;
  const std::vector<float>& mask_;  // of all keys, or empty
  const AttentionArgs& args_;
  std::span<const double> factors_;
  std::int64_t T_, heads_, b_, h_, d_ = 0;
  std::vector<double> p_, keep_, lse_;
};

// What the tensors' device computes, both ways.
struct AttentionRun {
  Tensor out, lse, dqkv;
};

inline AttentionRun run_attention(const Tensor& qkv, const Tensor& dout,
                                  const AttentionArgs& args) {
  AttentionRun r{empty_like(dout), make_empty({qkv.shape()[0], args.heads, qkv.shape()[1]}),
                 empty_like(qkv)};
  Backend& b = backend(qkv);
  b.attention_forward(r.out, r.lse, qkv, args);
  b.attention_backward(r.dqkv, dout, qkv, r.out, r.lse, args);
  return r;
}

// `factors` [B, h, T, T] are what dropout multiplies the probabilities with; if empty, those that
// AttentionArgs promises.
inline AttentionReference attention_reference(const Tensor& qkv, const Tensor& dout,
                                              const AttentionArgs& args,
                                              std::span<const double> factors = {}) {
  const std::vector<float> in = to_vector(qkv), dy = to_vector(dout);
  const std::vector<float> mask =
      args.key_mask_BT ? to_vector(args.key_mask_BT) : std::vector<float>();
  const std::int64_t B = qkv.shape()[0], T = qkv.shape()[1];
  const std::int64_t width = qkv.shape()[2] / 3, d = width / args.heads;
  AttentionReference result;
  result.out.resize(static_cast<std::size_t>(B * T * width));
  result.dqkv.resize(in.size());
  for (std::int64_t b = 0; b < B; ++b) {
    for (std::int64_t h = 0; h < args.heads; ++h) {
      const ReferenceHead head(in, mask, qkv.shape(), args, factors, b, h);
      for (std::int64_t i = 0; i < T; ++i) {
        result.lse.push_back(head.lse(i));
        for (std::int64_t c = 0; c < d; ++c)
          result.out[static_cast<std::size_t>((b * T + i) * width + h * d + c)] = head.out(i, c);
      }
      head.backward(result.dqkv, dy);
    }
  }
  return result;
}

}  // namespace weft
