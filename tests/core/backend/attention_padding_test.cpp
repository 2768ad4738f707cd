// Attention's kernels with padding at the end, as batches have it: lengths instead of any mask.
#include <gtest/gtest.h>

#include "core/backend/backend.hpp"
#include "tests/core/backend/attention_reference.hpp"

namespace weft {
namespace {

struct Case {
  std::int64_t T, heads, d;
  std::vector<std::int64_t> lengths;

  std::int64_t B() const { return std::ssize(lengths); }
  Tensor mask() const {
    std::vector<float> mask;
    for (const std::int64_t length : lengths) {
      for (std::int64_t j = 0; j < T; ++j) mask.push_back(j < length);
    }
    return to_tensor(mask, {B(), T}, DType::u8);
  }
  AttentionArgs args() const {
    return {.heads = heads,
            .scale = 1 / std::sqrt(static_cast<float>(d)),
            .key_mask_BT = mask(),
            .keys_are_prefix = true,
            .total_heads = heads};
  }
  Tensor qkv(DType dtype) const { return make_random({B(), T, 3 * heads * d}, 1, dtype, 2); }
  Tensor dout(DType dtype) const { return make_random({B(), T, heads * d}, 2, dtype); }
};

TEST(AttentionPadding, AgreesWithFp64) {
  for (const Case& c : {Case{17, 2, 8, {17, 1, 9}}, Case{40, 3, 16, {40, 40}},
                        Case{65, 1, 64, {33, 65}}, Case{8, 2, 5, {3, 8}}}) {
    for (const DType dtype : test_dtypes()) {
      for (const bool causal : {false, true}) {
        SCOPED_TRACE("T " + std::to_string(c.T) + " d " + std::to_string(c.d) + " causal " +
                     std::to_string(causal) + " " + std::string(name_of(dtype)));
        AttentionArgs args = c.args();
        args.causal = causal;
        const Tensor qkv = c.qkv(dtype), dout = c.dout(dtype);
        const AttentionRun got = run_attention(qkv, dout, args);
        const AttentionReference want = attention_reference(qkv, dout, args);
        const double tolerance = dtype == DType::f32 ? 2e-5 : 5e-2;  // dS is rounded too
        EXPECT_TRUE(close(got.out, want.out, tolerance));
        EXPECT_TRUE(close(got.lse, want.lse, 5e-6));
        EXPECT_TRUE(close(got.dqkv, want.dqkv, tolerance, 1e-7));
      }
    }
  }
}

TEST(AttentionPadding, GivesPaddingNoGradient) {
  const Case c{24, 2, 8, {24, 5, 0}};
  for (const DType dtype : test_dtypes()) {
    const AttentionRun r = run_attention(c.qkv(dtype), c.dout(dtype), c.args());
    const std::vector<float> dqkv = to_vector(r.dqkv);
    const std::int64_t width = c.heads * c.d;
    for (std::int64_t b = 0; b < c.B(); ++b) {
      const std::int64_t length = c.lengths[static_cast<std::size_t>(b)];
      for (std::int64_t t = length; t < c.T; ++t) {
        for (std::int64_t i = length == 0 ? 0 : width; i < 3 * width; ++i)
          EXPECT_EQ(dqkv[static_cast<std::size_t>((b * c.T + t) * 3 * width + i)], 0.0F);
      }
    }
  }
}

TEST(AttentionPadding, ASampleWithoutKeysGivesZeros) {
  const Case c{24, 2, 8, {0, 24, 0}};
  for (const DType dtype : test_dtypes()) {
    const Tensor qkv = c.qkv(dtype), dout = c.dout(dtype);
    const AttentionRun r = run_attention(qkv, dout, c.args());
    for (const std::int64_t b : {0, 2}) {
      for (const float y : to_vector(r.out.narrow(b, 1))) EXPECT_EQ(y, 0.0F);
      for (const float y : to_vector(r.lse.narrow(b, 1))) EXPECT_EQ(y, -INFINITY);
      for (const float y : to_vector(r.dqkv.narrow(b, 1))) EXPECT_EQ(y, 0.0F);
    }
    const AttentionReference want = attention_reference(qkv, dout, c.args());
    EXPECT_TRUE(close(r.out, want.out, dtype == DType::f32 ? 5e-6 : 3e-2));
  }
}

// Gradients may come as a part of something larger that begins anywhere.
TEST(AttentionPadding, TakesGradientsThatAreNotAligned) {
  const Case c{16, 2, 8, {16, 7}};
  for (const DType dtype : test_dtypes()) {
    const Tensor qkv = c.qkv(dtype), dout = c.dout(dtype);
    const AttentionRun want = run_attention(qkv, dout, c.args());
    std::vector<float> shifted = to_vector(dout);
    shifted.insert(shifted.begin(), 0);
    const Tensor memory = to_tensor(shifted, {dout.numel() + 1}, dtype);
    Tensor dqkv = make_empty({qkv.numel() + 1}, dtype).slice_flat(1, qkv.shape());
    test_backend().attention_backward(dqkv, memory.slice_flat(1, dout.shape()), qkv, want.out,
                                      want.lse, c.args());
    EXPECT_TRUE(close(dqkv, want.dqkv, 1e-6));
  }
}

}  // namespace
}  // namespace weft
