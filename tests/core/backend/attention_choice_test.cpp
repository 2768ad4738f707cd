// Which kernels compute attention on GPUs: cuDNN's unless it cannot, of which the user is told
// once.
#include <gtest/gtest.h>

#include "core/backend/cuda.hpp"
#include "tests/core/backend/attention_reference.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

struct Call {
  DType dtype = DType::bf16;
  std::int64_t T = 12, d = 8;
  float dropout_p = 0;
  std::vector<float> mask = {};  // of the one sample
  bool keys_are_prefix = false;
};

// Computes attention with one head in both directions, and returns what is told of it.
std::vector<std::string> notices(const Call& c) {
  take_cuda_notices();
  AttentionArgs args{.scale = 0.5F,
                     .keys_are_prefix = c.keys_are_prefix,
                     .dropout_p = c.dropout_p,
                     .dropout_key = {.seed = 5}};
  if (!c.mask.empty()) args.key_mask_BT = to_tensor(c.mask, {1, c.T}, DType::u8);
  const Tensor qkv = make_random({1, c.T, 3 * c.d}, 1, c.dtype);
  const Tensor dout = make_random({1, c.T, c.d}, 2, c.dtype);
  Tensor out = empty_like(dout), lse = make_empty({1, 1, c.T}), dqkv = empty_like(qkv);
  test_backend().attention_forward(out, lse, qkv, args);
  test_backend().attention_backward(dqkv, dout, qkv, out, lse, args);
  std::vector<std::string> told = take_cuda_notices();
  // Where Weft's kernels drop, they drop what the CPU drops, in both directions.
  if (c.dropout_p == 0 || !told.empty()) {
    const AttentionReference want = attention_reference(qkv, dout, args);
    EXPECT_TRUE(close(out, want.out, 5e-2));
    EXPECT_TRUE(close(dqkv, want.dqkv, 5e-2, 1e-7));
  }
  return told;
}

class AttentionChoice : public testing::Test {
 protected:
  void SetUp() override {
    if (on_cpu()) GTEST_SKIP() << "there is a choice on GPUs only";
    set_cuda_options({.exact_attention_dropout = false});
  }
  void TearDown() override { set_cuda_options({.exact_attention_dropout = true}); }
};

TEST_F(AttentionChoice, IsCudnn) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    EXPECT_EQ(notices({.dtype = dtype}), std::vector<std::string>{});
    EXPECT_EQ(notices({.dtype = dtype, .dropout_p = 0.5F}), std::vector<std::string>{});
    std::vector<float> padding(12, 1.0F);
    padding.back() = 0;
    EXPECT_EQ(notices({.dtype = dtype, .mask = padding, .keys_are_prefix = true}),
              std::vector<std::string>{});
  }
}

TEST_F(AttentionChoice, IsWeftsKernelForWhatCudnnCannotDo) {
  std::vector<float> holes(12, 1.0F);
  holes[3] = 0;
  for (const Call& c : {Call{.dtype = DType::f32, .T = 13}, Call{.T = 12, .mask = holes},
                        Call{.T = 14, .d = 12}, Call{.T = 15, .d = 20, .dropout_p = 0.5F}}) {
    const std::vector<std::string> told = notices(c);
    ASSERT_EQ(told.size(), 1U) << c.T;
    EXPECT_TRUE(told[0].starts_with("attention, ")) << told[0];
    EXPECT_NE(told[0].find("T " + std::to_string(c.T)), std::string::npos) << told[0];
  }
}

TEST_F(AttentionChoice, IsToldOnce) {
  EXPECT_EQ(notices({.dtype = DType::f32, .T = 21}).size(), 1U);
  EXPECT_EQ(take_cuda_notices().size(), 0U);
  EXPECT_TRUE(notices({.dtype = DType::f32, .T = 21}).empty());
}

// A backward that cuDNN refuses takes the forward along when they must drop alike: on GPUs of
// compute capability 8.0 this is so for heads of 256.
TEST_F(AttentionChoice, IsTheSameInBothDirectionsWithDropout) {
  const std::vector<std::string> told = notices({.T = 16, .d = 256, .dropout_p = 0.5F});
  EXPECT_LE(told.size(), 1U);
}

TEST_F(AttentionChoice, FollowsTheOptions) {
  set_cuda_options({.exact_attention_dropout = true});
  const AttentionArgs args{.scale = 0.5F, .dropout_p = 0.5F, .dropout_key = {.seed = 5}};
  const Tensor qkv = make_random({1, 12, 24}, 1, DType::bf16);
  const Tensor dout = make_random({1, 12, 8}, 2, DType::bf16);
  Tensor out = empty_like(dout), lse = make_empty({1, 1, 12});
  test_backend().attention_forward(out, lse, qkv, args);
  EXPECT_TRUE(close(out, attention_reference(qkv, dout, args).out, 5e-2));
}

TEST_F(AttentionChoice, GivesTheSameBitsWhenAskedTo) {
  set_cuda_options({.deterministic = true});
  EXPECT_EQ(notices({.T = 12}), std::vector<std::string>{});
  const Tensor qkv = make_random({2, 192, 3 * 2 * 64}, 1, DType::bf16);
  const Tensor dout = make_random({2, 192, 2 * 64}, 2, DType::bf16);
  const AttentionArgs args{
      .heads = 2, .scale = 0.125F, .dropout_p = 0.1F, .dropout_key = {.seed = 5}, .total_heads = 2};
  EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
    Tensor out = empty_like(dout), lse = make_empty({2, 2, 192}), dqkv = empty_like(qkv);
    test_backend().attention_forward(out, lse, qkv, args);
    test_backend().attention_backward(dqkv, dout, qkv, out, lse, args);
    return {out, lse, dqkv};
  }));
}

}  // namespace
}  // namespace weft
