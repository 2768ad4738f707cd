// Every kind of attention kernel that this CPU can run, against fp64 and against each other.
#include <gtest/gtest.h>

#include "core/backend/cpu/attention/choice.hpp"
#include "tests/core/backend/attention_reference.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

struct Case {
  std::int64_t B, T, heads, d;

  AttentionArgs args() const {
    return {.heads = heads,
            .scale = 1 / std::sqrt(static_cast<float>(d)),
            .dropout_key = {.seed = 99, .step = 3, .place = 4},
            .total_heads = heads};
  }
  Tensor qkv(DType dtype) const { return make_random({B, T, 3 * heads * d}, 1, dtype, 2); }
  Tensor dout(DType dtype) const { return make_random({B, T, heads * d}, 2, dtype); }
};

Tensor mask_of(const std::vector<std::int64_t>& lengths, std::int64_t T) {
  std::vector<float> mask;
  for (const std::int64_t length : lengths) {
    for (std::int64_t j = 0; j < T; ++j) mask.push_back(j < length);
  }
  return to_tensor(mask, {std::ssize(lengths), T}, DType::u8);
}

class AttentionPaths : public testing::Test {
 protected:
  void SetUp() override {
    if (!on_cpu()) GTEST_SKIP() << "these are the CPU's";
  }
  void TearDown() override { set_attention_path(std::nullopt); }

  // Calls f(dtype, path), with the path in force.
  template <class F>
  static void for_each_path(F&& f) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const AttentionPath path : attention_paths(dtype)) {
        SCOPED_TRACE(std::string(name_of(dtype)) + ", path " +
                     std::to_string(static_cast<int>(path)));
        set_attention_path(path);
        ASSERT_EQ(attention_path(dtype), path);
        f(dtype, path);
      }
    }
  }
};

TEST_F(AttentionPaths, AgreeWithFp64) {
  for (const Case& c : {Case{2, 1, 1, 1}, Case{1, 13, 2, 5}, Case{1, 67, 1, 33}, Case{1, 97, 1, 80},
                        Case{1, 301, 1, 3}}) {
    for (int flags = 0; flags < 8; ++flags) {
      AttentionArgs args = c.args();
      args.causal = flags & 1;
      if (flags & 2) args.dropout_p = 0.3F;
      if (flags & 4)
        args.key_mask_BT =
            mask_of(std::vector(static_cast<std::size_t>(c.B), (2 * c.T + 2) / 3), c.T);
      for_each_path([&](DType dtype, AttentionPath) {
        SCOPED_TRACE("T " + std::to_string(c.T) + " flags " + std::to_string(flags));
        const Tensor qkv = c.qkv(dtype), dout = c.dout(dtype);
        const AttentionRun got = run_attention(qkv, dout, args);
        const AttentionReference want = attention_reference(qkv, dout, args);
        const double tolerance = dtype == DType::f32 ? 2e-5 : 5e-2;  // the rounded dS
        EXPECT_TRUE(close(got.out, want.out, tolerance));
        EXPECT_TRUE(close(got.lse, want.lse, 5e-6));
        EXPECT_TRUE(close(got.dqkv, want.dqkv, tolerance, 1e-7));
      });
    }
  }
}

// What is cut off at the end of a batch changes nothing for the tokens before.
TEST_F(AttentionPaths, LeavePaddingOut) {
  const std::int64_t heads = 2, d = 24;
  for (const auto& [T, length] : {std::pair{150, 70}, {330, 256}, {400, 290}}) {
    const Case whole{1, T, heads, d};
    AttentionArgs masked = whole.args();
    masked.key_mask_BT = mask_of({length}, T);
    for_each_path([&](DType dtype, AttentionPath) {
      const Tensor qkv = whole.qkv(dtype);
      Tensor dout = make_empty({1, T, heads * d}, dtype);
      const Tensor short_dout = Case{1, length, heads, d}.dout(dtype);
      test_backend().fill(dout, 0);
      overwrite(dout.slice_flat(0, short_dout.shape()), short_dout);
      const AttentionRun padded = run_attention(qkv, dout, masked);
      const AttentionRun cut =
          run_attention(qkv.slice_flat(0, {1, length, 3 * heads * d}), short_dout, whole.args());
      const double tolerance = dtype == DType::f32 ? 1e-5 : 1e-2;
      EXPECT_TRUE(close(padded.out.slice_flat(0, cut.out.shape()), cut.out, tolerance));
      EXPECT_TRUE(close(padded.dqkv.slice_flat(0, cut.dqkv.shape()), cut.dqkv, tolerance, 1e-7));
      const std::vector<float> all = to_vector(padded.dqkv);
      EXPECT_TRUE(
          std::all_of(all.begin() + cut.dqkv.numel(), all.end(), [](float x) { return x == 0; }));
    });
  }
}

// Neither keys behind the last that may be attended to nor later ones are touched: not even what
// is no number there reaches a result.
TEST_F(AttentionPaths, DoNotReadWhatNoQuerySees) {
  const Case c{1, 400, 1, 16};
  for_each_path([&](DType dtype, AttentionPath path) {
    std::vector<float> values = to_vector(c.qkv(dtype));
    const std::int64_t seen = 130;
    // oneDNN's products take keys by the 64, and multiply some that are not seen by zero.
    for (std::int64_t token = path == AttentionPath::onednn ? 192 : seen; token < c.T; ++token)
      std::fill_n(values.begin() + (token * 3 + 1) * c.d, 2 * c.d, NAN);
    const Tensor qkv = to_tensor(values, {1, c.T, 3 * c.d}, dtype), dout = c.dout(dtype);
    AttentionArgs args = c.args();
    args.key_mask_BT = mask_of({seen}, c.T);
    const auto is_finite = [](float x) { return std::isfinite(x); };
    const AttentionRun r = run_attention(qkv, dout, args);
    EXPECT_TRUE(std::ranges::all_of(to_vector(r.out), is_finite));
    EXPECT_TRUE(std::ranges::all_of(to_vector(r.dqkv), is_finite));
  });
}

// Few heads are cut into parts when there are more threads.
TEST_F(AttentionPaths, GiveTheSameBitsEveryTime) {
  for (const Case& c : {Case{1, 340, 1, 16}, Case{1, 259, 3, 40}}) {
    for_each_path([&](DType dtype, AttentionPath) {
      for (const bool causal : {false, true}) {
        AttentionArgs args = c.args();
        args.causal = causal;
        args.dropout_p = 0.1F;
        EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
          const AttentionRun r = run_attention(c.qkv(dtype), c.dout(dtype), args);
          return {r.out, r.lse, r.dqkv};
        }));
      }
    });
  }
}

TEST_F(AttentionPaths, PropagateNan) {
  const Case c{1, 20, 1, 16};
  for_each_path([&](DType dtype, AttentionPath) {
    std::vector<float> values = to_vector(c.qkv(dtype));
    values[0] = NAN;  // of the first query alone
    const AttentionRun r =
        run_attention(to_tensor(values, {1, c.T, 3 * c.d}, dtype), c.dout(dtype), c.args());
    EXPECT_TRUE(std::isnan(to_vector(r.out)[0]));
    EXPECT_TRUE(std::isnan(to_vector(r.lse)[0]));
    EXPECT_FALSE(std::isnan(to_vector(r.out)[static_cast<std::size_t>(c.d)]));
    EXPECT_TRUE(std::isnan(to_vector(r.dqkv)[0]));
  });
}

TEST_F(AttentionPaths, AreWhatTheDtypeAllows) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::vector<AttentionPath> paths = attention_paths(dtype);
    EXPECT_EQ(std::ranges::count(paths, attention_path(dtype)), 1);
    EXPECT_TRUE(dtype == DType::bf16 || std::ranges::count(paths, AttentionPath::avx512_bf16) == 0);
  }
  set_attention_path(AttentionPath::avx512_bf16);
  EXPECT_NE(attention_path(DType::f32), AttentionPath::avx512_bf16);
}

}  // namespace
}  // namespace weft
