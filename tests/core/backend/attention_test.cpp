// Attention's kernels against fp64, with every kind of mask.
#include <gtest/gtest.h>

#include "core/backend/backend.hpp"
#include "tests/core/backend/attention_reference.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

constexpr PhiloxKey kKey{.seed = 99, .step = 3, .place = 4};

struct Case {
  std::int64_t B, T, heads, d;
};

Tensor qkv_of(const Case& c, DType dtype) {
  return make_random({c.B, c.T, 3 * c.heads * c.d}, 1, dtype, 2);
}
Tensor dout_of(const Case& c, DType dtype) {
  return make_random({c.B, c.T, c.heads * c.d}, 2, dtype);
}

// Sample 0 sees every key, each following sample hides a third of its keys and the last few.
std::vector<float> padded(const Case& c) {
  std::vector<float> mask;
  for (std::int64_t b = 0; b < c.B; ++b) {
    for (std::int64_t j = 0; j < c.T; ++j)
      mask.push_back(b == 0 || (j % 3 != b % 3 && j < c.T - b));
  }
  return mask;
}

Tensor mask_of(const Case& c, const std::vector<float>& keys) {
  return to_tensor(keys, {c.B, c.T}, DType::u8);
}

void expect_exact(const Case& c, DType dtype, const AttentionArgs& args) {
  const Tensor qkv = qkv_of(c, dtype), dout = dout_of(c, dtype);
  const AttentionRun got = run_attention(qkv, dout, args);
  const AttentionReference want = attention_reference(qkv, dout, args);
  const double tolerance =
      dtype == DType::f32 ? 5e-6 : 3e-2;  // the scores' gradient is rounded too
  const std::string what = "T " + std::to_string(c.T) + " d " + std::to_string(c.d) + " causal " +
                           std::to_string(args.causal) + " p " + std::to_string(args.dropout_p) +
                           " mask " + std::to_string(static_cast<bool>(args.key_mask_BT)) + " " +
                           std::string(name_of(dtype));
  EXPECT_TRUE(close(got.out, want.out, tolerance)) << what;
  EXPECT_TRUE(close(got.lse, want.lse, 5e-6)) << what;
  EXPECT_TRUE(close(got.dqkv, want.dqkv, tolerance, 1e-7)) << what;
}

AttentionArgs args_of(const Case& c) {
  return {.heads = c.heads,
          .scale = 1 / std::sqrt(static_cast<float>(c.d)),
          .dropout_key = kKey,
          .total_heads = c.heads};
}

TEST(Attention, AgreesWithFp64UnderEveryMask) {
  for (const Case& c : {Case{1, 1, 1, 4}, Case{3, 5, 2, 5}, Case{2, 17, 3, 8}, Case{2, 64, 1, 32},
                        Case{1, 129, 2, 16}}) {
    for (const DType dtype : test_dtypes()) {
      for (int flags = 0; flags < 8; ++flags) {
        if (!on_cpu() && c.T > 100 && flags % 7 != 0) continue;  // no mask and all masks
        AttentionArgs args = args_of(c);
        args.causal = flags & 1;
        if (flags & 2) args.key_mask_BT = mask_of(c, padded(c));
        if (flags & 4) args.dropout_p = 0.3F;
        expect_exact(c, dtype, args);
      }
    }
  }
}

TEST(Attention, AgreesWithFp64OverManyTiles) {
  // On the CPU tiles of 109 rows, on a GPU of 32; the last one shorter.
  const Case c{1, on_cpu() ? 600 : 150, 1, 4};
  for (const bool causal : {false, true}) {
    AttentionArgs args = args_of(c);
    args.causal = causal;
    args.dropout_p = 0.1F;
    for (const DType dtype : test_dtypes()) expect_exact(c, dtype, args);
  }
}

TEST(Attention, AgreesWithFp64AtEveryHeadSize) {
  for (const Case& c : {Case{1, 35, 2, 1}, Case{2, 33, 1, 64}, Case{1, 37, 2, 70},
                        Case{1, 40, 1, 128}, Case{1, 19, 1, 200}, Case{2, 33, 1, 256}}) {
    for (const DType dtype : test_dtypes()) {
      AttentionArgs args = args_of(c);
      expect_exact(c, dtype, args);
      args.causal = true;
      args.key_mask_BT = mask_of(c, padded(c));
      args.dropout_p = 0.2F;
      expect_exact(c, dtype, args);
    }
  }
}

// As parts of a bucket, tensors begin where elements do.
TEST(Attention, TensorsMayBeginAnywhere) {
  const Case c{2, 34, 2, 8};
  const auto moved = [](const Tensor& x) {
    Tensor memory = make_empty({x.numel() + 1}, x.dtype());
    overwrite(memory.slice_flat(1, x.shape()), x);
    return memory.slice_flat(1, x.shape());
  };
  for (const DType dtype : test_dtypes()) {
    AttentionArgs args = args_of(c);
    args.key_mask_BT = mask_of(c, padded(c));
    args.dropout_p = 0.2F;
    const Tensor qkv = qkv_of(c, dtype), dout = dout_of(c, dtype);
    const AttentionRun want = run_attention(qkv, dout, args);
    AttentionRun got{moved(want.out), want.lse, moved(want.dqkv)};
    test_backend().fill(got.out, 0);
    test_backend().fill(got.dqkv, 0);
    test_backend().attention_forward(got.out, got.lse, moved(qkv), args);
    test_backend().attention_backward(got.dqkv, moved(dout), moved(qkv), got.out, got.lse, args);
    EXPECT_TRUE(close(got.out, want.out, 1e-6));
    EXPECT_TRUE(close(got.dqkv, want.dqkv, 1e-6));
  }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  const Case c{1, 9, 1, 4};
  AttentionArgs args = args_of(c);
  args.scale = 40;  // scores to 400: exp would overflow without the maximum
  const Tensor qkv = qkv_of(c, DType::f32), dout = dout_of(c, DType::f32);
  const AttentionRun got = run_attention(qkv, dout, args);
  const AttentionReference want = attention_reference(qkv, dout, args);
  EXPECT_TRUE(close(got.out, want.out, 1e-4));
  EXPECT_TRUE(close(got.lse, want.lse, 1e-6));
}

TEST(Attention, ARowWithoutKeysGivesZeros) {
  const Case c{2, 6, 2, 4};
  for (const DType dtype : test_dtypes()) {
    AttentionArgs args = args_of(c);
    std::vector<float> mask = padded(c);
    std::fill_n(mask.begin(), c.T, 0.0F);
    args.key_mask_BT = mask_of(c, mask);
    const AttentionRun r = run_attention(qkv_of(c, dtype), dout_of(c, dtype), args);
    for (const float y : to_vector(r.out.narrow(0, 1))) EXPECT_EQ(y, 0.0F);
    for (const float y : to_vector(r.lse.narrow(0, 1))) EXPECT_EQ(y, -INFINITY);
    for (const float y : to_vector(r.dqkv.narrow(0, 1))) EXPECT_EQ(y, 0.0F);
    expect_exact(c, dtype, args);
  }
}

TEST(Attention, NanComesThrough) {
  const Case c{1, 4, 1, 4};
  const Tensor qkv = with_element(qkv_of(c, DType::f32), 0, NAN);  // of the first query alone
  const AttentionRun r = run_attention(qkv, dout_of(c, DType::f32), args_of(c));
  const std::vector<float> out = to_vector(r.out);
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_FALSE(std::isnan(out[4]));
  EXPECT_TRUE(std::isnan(to_vector(r.dqkv)[0]));
}

// Heads [first, first + count) and samples from `sample` on, as a rank of a mesh holds them.
Tensor part_of(const Tensor& x, std::int64_t parts, std::int64_t heads, std::int64_t sample,
               std::int64_t first, std::int64_t count) {
  const std::int64_t B = x.shape()[0], T = x.shape()[1], d = x.shape()[2] / (parts * heads);
  const std::vector<float> all = to_vector(x);
  std::vector<float> values;
  for (std::int64_t token = sample * T; token < B * T; ++token) {
    for (std::int64_t part = 0; part < parts; ++part) {
      const auto from = all.begin() + (token * parts + part) * heads * d + first * d;
      values.insert(values.end(), from, from + count * d);
    }
  }
  return to_tensor(values, {B - sample, T, parts * count * d}, x.dtype());
}

TEST(Attention, PartsOfTheHeadsAndSamplesEqualTheWhole) {
  const Case c{3, 19, 4, 8};
  for (const DType dtype : test_dtypes()) {
    AttentionArgs args = args_of(c);
    args.dropout_p = 0.4F;
    args.first_sample = 5;
    const Tensor qkv = qkv_of(c, dtype), dout = dout_of(c, dtype);
    const AttentionRun whole = run_attention(qkv, dout, args);
    AttentionArgs part = args;
    part.heads = 2;
    part.first_head = 1;
    part.first_sample = 6;
    const AttentionRun got =
        run_attention(part_of(qkv, 3, 4, 1, 1, 2), part_of(dout, 1, 4, 1, 1, 2), part);
    EXPECT_TRUE(close(got.out, part_of(whole.out, 1, 4, 1, 1, 2), 1e-6));
    EXPECT_TRUE(close(got.dqkv, part_of(whole.dqkv, 3, 4, 1, 1, 2), 1e-6));
    expect_exact(c, dtype, args);
  }
}

TEST(Attention, GivesTheSameBitsEveryTime) {
  for (const Case& c : {Case{2, on_cpu() ? 130 : 70, 3, 16}, Case{1, 40, 1, 64}}) {
    for (const DType dtype : test_dtypes()) {
      AttentionArgs args = args_of(c);
      args.dropout_p = 0.1F;
      args.key_mask_BT = mask_of(c, padded(c));
      EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
        const AttentionRun r = run_attention(qkv_of(c, dtype), dout_of(c, dtype), args);
        return {r.out, r.lse, r.dqkv};
      }));
    }
  }
}

TEST(Attention, NoTokensAreFine) {
  for (const Case& c : {Case{0, 4, 2, 4}, Case{2, 0, 2, 4}}) {
    const AttentionRun r = run_attention(qkv_of(c, DType::f32), dout_of(c, DType::f32), args_of(c));
    EXPECT_EQ(r.out.numel(), 0);
  }
}

}  // namespace
}  // namespace weft
