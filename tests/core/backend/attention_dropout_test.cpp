// Attention's dropout whatever the mask is: a device may draw its own (CudaOptions), but it must be
// one, the same in both directions, and another for every head, sample, rank and key.
#include <gtest/gtest.h>

#include "core/backend/cuda.hpp"
#include "tests/core/backend/attention_reference.hpp"

namespace weft {
namespace {

constexpr std::int64_t kB = 2, kT = 24, kHeads = 3, kD = 32;
constexpr float kP = 0.25F;

// Values are unit vectors, so that the output is the matrix of probabilities that dropout left.
Tensor telling_qkv(DType dtype) {
  std::vector<float> qkv = to_vector(make_random({kB, kT, 3 * kHeads * kD}, 1, dtype));
  for (std::int64_t token = 0; token < kB * kT; ++token) {
    for (std::int64_t h = 0; h < kHeads; ++h) {
      for (std::int64_t c = 0; c < kD; ++c)
        qkv[static_cast<std::size_t>((token * 3 + 2) * kHeads * kD + h * kD + c)] =
            c == token % kT ? 1.0F : 0.0F;
    }
  }
  return to_tensor(qkv, {kB, kT, 3 * kHeads * kD}, dtype);
}

AttentionArgs args() {
  return {.heads = kHeads,
          .scale = 1 / std::sqrt(static_cast<float>(kD)),
          .dropout_p = kP,
          .dropout_key = {.seed = 99, .step = 3, .place = 4},
          .first_sample = 4,
          .first_head = 3,
          .total_heads = 9};
}

struct Output {
  Tensor out, lse;
};
Output forward(const Tensor& qkv, const AttentionArgs& a) {
  Output r{make_empty({kB, kT, kHeads * kD}, qkv.dtype()), make_empty({kB, kHeads, kT})};
  test_backend().attention_forward(r.out, r.lse, qkv, a);
  return r;
}

// By what each probability [B, h, T, T] was multiplied: 0 or 1 / (1 - p).
std::vector<double> factors(const Tensor& out) {
  const std::vector<float> all = to_vector(out);
  std::vector<double> f;
  for (std::int64_t b = 0; b < kB; ++b) {
    for (std::int64_t h = 0; h < kHeads; ++h) {
      for (std::int64_t i = 0; i < kT; ++i) {
        for (std::int64_t j = 0; j < kT; ++j) {
          const auto at = static_cast<std::size_t>((b * kT + i) * kHeads * kD + h * kD + j);
          f.push_back(all[at] == 0 ? 0.0 : 1 / (1 - double{kP}));
        }
      }
    }
  }
  return f;
}

std::vector<double> mask_of(const AttentionArgs& a) {
  return factors(forward(telling_qkv(DType::bf16), a).out);
}

class AttentionDropout : public testing::Test {
 protected:
  void SetUp() override { set_cuda_options({.exact_attention_dropout = false}); }
  void TearDown() override { set_cuda_options({.exact_attention_dropout = true}); }
};

TEST_F(AttentionDropout, DropsTheSameInBothDirections) {
  for (const DType dtype : test_dtypes()) {
    const Tensor qkv = telling_qkv(dtype);
    const Tensor dout = make_random({kB, kT, kHeads * kD}, 2, dtype);
    const Output got = forward(qkv, args());
    Tensor dqkv = empty_like(qkv);
    test_backend().attention_backward(dqkv, dout, qkv, got.out, got.lse, args());
    const AttentionReference want = attention_reference(qkv, dout, args(), factors(got.out));
    const double tolerance = dtype == DType::f32 ? 5e-6 : 3e-2;
    EXPECT_TRUE(close(got.out, want.out, tolerance));
    EXPECT_TRUE(close(got.lse, want.lse, 5e-6));
    EXPECT_TRUE(close(dqkv, want.dqkv, tolerance, 1e-7));
  }
}

TEST_F(AttentionDropout, DropsTheRightShare) {
  const std::vector<double> mask = mask_of(args());
  const auto n = static_cast<double>(mask.size());
  const auto dropped = static_cast<double>(std::count(mask.begin(), mask.end(), 0.0));
  EXPECT_NEAR(dropped / n, kP, 5 * std::sqrt(kP * (1 - kP) / n));
}

TEST_F(AttentionDropout, DropsTheSameEveryTime) { EXPECT_EQ(mask_of(args()), mask_of(args())); }

// The share of elements in which two masks agree is near that of independent ones.
void expect_independent(std::span<const double> a, std::span<const double> b) {
  ASSERT_EQ(a.size(), b.size());
  double same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
  const auto n = static_cast<double>(a.size());
  const double expected = kP * kP + (1 - kP) * (1 - kP);
  EXPECT_NEAR(same / n, expected, 5 * std::sqrt(expected * (1 - expected) / n));
}

TEST_F(AttentionDropout, DropsOthersInEveryHeadAndSample) {
  const std::vector<double> mask = mask_of(args());
  const auto head = [&](std::int64_t i) {
    return std::span(mask).subspan(static_cast<std::size_t>(i * kT * kT),
                                   static_cast<std::size_t>(kT * kT));
  };
  for (std::int64_t i = 0; i < kB * kHeads; ++i) {
    for (std::int64_t j = 0; j < i; ++j) expect_independent(head(i), head(j));
  }
}

TEST_F(AttentionDropout, DropsOthersOnEveryRankAndAtEveryPlace) {
  const std::vector<double> mask = mask_of(args());
  AttentionArgs sample = args(), heads = args(), step = args(), place = args(), seed = args();
  sample.first_sample = 6;
  heads.first_head = 6;
  step.dropout_key.step = 4;
  place.dropout_key.place = 5;
  seed.dropout_key.seed = 98;
  for (const AttentionArgs& other : {sample, heads, step, place, seed})
    expect_independent(mask, mask_of(other));
}

TEST_F(AttentionDropout, TakesTheStepFromTheDevice) {
  AttentionArgs other = args();
  other.dropout_step = make_indices({static_cast<std::int32_t>(other.dropout_key.step)});
  other.dropout_key.step = 99;
  EXPECT_EQ(mask_of(other), mask_of(args()));
}

}  // namespace
}  // namespace weft
