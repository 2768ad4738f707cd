// The graphs of attention against fp64, interpreted on the host: whether what cuDNN is asked to
// compute is attention.
#include "core/backend/cuda/attention_graph.hpp"

#include <gtest/gtest.h>

#include "core/base/philox.hpp"
#include "tests/core/backend/attention_reference.hpp"
#include "tests/cuda_emulator/graph_interpreter.hpp"

namespace weft {
namespace {

// Queries [B, T, heads d] apart from keys and values [B, kv_T, 2 kv_heads d], and lengths.
struct Problem {
  std::int64_t B, T, kv_T, heads, kv_heads, d;
  bool causal = false, deterministic = false;
  float dropout_p = 0;
  std::vector<std::int32_t> key_lengths = {};  // of every sample, or none
  std::vector<std::int32_t> query_lengths = {};

  AttentionSignature signature(DType dtype) const {
    return {.dtype = dtype,
            .B = B,
            .heads = heads,
            .kv_heads = kv_heads,
            .T = T,
            .kv_T = kv_T,
            .d = d,
            .q_stride = heads * d,
            .kv_stride = 2 * kv_heads * d,
            .out_stride = heads * d,
            .causal = causal,
            .padded = !key_lengths.empty(),
            .deterministic = deterministic,
            .dropout_p = dropout_p,
            .scale = 1 / std::sqrt(static_cast<float>(d))};
  }
};

struct Result {
  std::vector<float> out, lse, dq, dkv;
};

constexpr std::uint64_t kSeedValue = 77;
constexpr float kUntouched = -123;

Result interpreted(const Problem& p, DType dtype, const Tensor& q, const Tensor& kv,
                   const Tensor& dout) {
  const AttentionSignature z = p.signature(dtype);
  const auto after = [](const Tensor& x, std::int64_t elements) -> void* {
    return static_cast<std::byte*>(x.raw()) +
           static_cast<std::size_t>(elements) * size_of(x.dtype());
  };
  Tensor out = to_tensor(std::vector<float>(to_vector(q).size(), kUntouched), q.shape(), dtype);
  Tensor lse({p.B, p.heads, p.T}, DType::f32);
  std::uint64_t seed = kSeedValue, offset = 0;
  std::vector<std::int32_t> query_lengths = p.query_lengths, key_lengths = p.key_lengths;
  std::vector<graph::Binding> memory = {{kQuery, q.raw()},
                                        {kKey, kv.raw()},
                                        {kValue, after(kv, p.kv_heads * p.d)},
                                        {kOut, out.raw()},
                                        {kLse, lse.raw()},
                                        {kSeed, &seed},
                                        {kOffset, &offset},
                                        {kQueryLengths, query_lengths.data()},
                                        {kKeyLengths, key_lengths.data()}};
  graph::Graph forward;
  attention_forward_graph(forward, z);
  interpret(forward, memory);

  Tensor dq = empty_like(q), dkv = empty_like(kv);
  std::vector<float> row_sums(static_cast<std::size_t>(lse.numel()));
  std::vector<float> dq_sums(static_cast<std::size_t>(q.numel()));
  const std::vector<graph::Binding> more = {
      {kDout, dout.raw()},         {kDquery, dq.raw()},
      {kDkey, dkv.raw()},          {kDvalue, after(dkv, p.kv_heads * p.d)},
      {kRowSums, row_sums.data()}, {kDquerySums, dq_sums.data()}};
  memory.insert(memory.end(), more.begin(), more.end());
  graph::Graph backward;
  attention_backward_graph(backward, z);
  interpret(backward, memory);
  return {to_vector(out), to_vector(lse), to_vector(dq), to_vector(dkv)};
}

// The same through the textbook's attention on fused projections: queries and keys are padded to a
// common length, key heads repeated, and the gradients folded back.
Result expected(const Problem& p, const Tensor& q, const Tensor& kv, const Tensor& dout) {
  const std::int64_t T = std::max(p.T, p.kv_T), group = p.heads / p.kv_heads;
  const std::vector<float> qs = to_vector(q), kvs = to_vector(kv), dys = to_vector(dout);
  const std::int64_t width = p.heads * p.d, kv_width = p.kv_heads * p.d;
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  std::vector<float> fused(at(p.B * T * 3 * width)), dy(at(p.B * T * width));
  Tensor mask({p.B, T}, DType::u8);
  const auto for_each = [&](auto&& f) {  // sample, token, head, element
    for (std::int64_t b = 0; b < p.B; ++b)
      for (std::int64_t t = 0; t < T; ++t)
        for (std::int64_t h = 0; h < p.heads; ++h)
          for (std::int64_t c = 0; c < p.d; ++c) f(b, t, h, c);
  };
  const auto query_at = [&](std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t c) {
    return at((b * p.T + t) * width + h * p.d + c);
  };
  const auto key_at = [&](std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t c) {
    return at((b * p.kv_T + t) * 2 * kv_width + h / group * p.d + c);
  };
  const auto fused_at = [&](std::int64_t b, std::int64_t t, std::int64_t part, std::int64_t h,
                            std::int64_t c) {
    return at((b * T + t) * 3 * width + part * width + h * p.d + c);
  };
  const auto queries = [&](std::int64_t b) {
    return p.query_lengths.empty() ? p.T : std::int64_t{p.query_lengths[at(b)]};
  };
  for (std::int64_t b = 0; b < p.B; ++b) {
    for (std::int64_t t = 0; t < T; ++t)
      mask.data<std::uint8_t>()[b * T + t] =
          t < (p.key_lengths.empty() ? p.kv_T : p.key_lengths[at(b)]);
  }
  for_each([&](std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t c) {
    if (t < p.T) fused[fused_at(b, t, 0, h, c)] = qs[query_at(b, t, h, c)];
    if (t < queries(b)) dy[at((b * T + t) * width + h * p.d + c)] = dys[query_at(b, t, h, c)];
    if (t < p.kv_T) {
      fused[fused_at(b, t, 1, h, c)] = kvs[key_at(b, t, h, c)];
      fused[fused_at(b, t, 2, h, c)] = kvs[key_at(b, t, h, c) + at(kv_width)];
    }
  });
  const AttentionReference whole =
      attention_reference(to_tensor(fused, {p.B, T, 3 * width}), to_tensor(dy, {p.B, T, width}),
                          {.heads = p.heads,
                           .scale = 1 / std::sqrt(static_cast<float>(p.d)),
                           .causal = p.causal,
                           .key_mask_BT = mask,
                           .dropout_p = p.dropout_p,
                           .dropout_key = {.seed = kSeedValue},
                           .total_heads = p.heads});
  Result r{std::vector<float>(qs.size()), std::vector<float>(at(p.B * p.heads * p.T)),
           std::vector<float>(qs.size()), std::vector<float>(kvs.size())};
  std::vector<double> dkv(kvs.size());
  for_each([&](std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t c) {
    if (t < p.T) {
      r.out[query_at(b, t, h, c)] =
          static_cast<float>(whole.out[at((b * T + t) * width + h * p.d + c)]);
      r.dq[query_at(b, t, h, c)] = static_cast<float>(whole.dqkv[fused_at(b, t, 0, h, c)]);
      r.lse[at((b * p.heads + h) * p.T + t)] =
          static_cast<float>(whole.lse[at((b * p.heads + h) * T + t)]);
    }
    if (t < p.kv_T) {
      dkv[key_at(b, t, h, c)] += whole.dqkv[fused_at(b, t, 1, h, c)];
      dkv[key_at(b, t, h, c) + at(kv_width)] += whole.dqkv[fused_at(b, t, 2, h, c)];
    }
  });
  r.dkv.assign(dkv.begin(), dkv.end());
  return r;
}

// Blanks, in both, the rows from a sample's length on: there a graph's results are undefined.
void drop_padding(Result& r, const Problem& p) {
  for (std::int64_t b = 0; b < p.B && !p.key_lengths.empty(); ++b) {
    const auto blank = [&](std::vector<float>& x, std::int64_t sample, std::int64_t length,
                           std::int64_t T, std::int64_t width) {
      std::fill(x.begin() + (sample * T + length) * width, x.begin() + (sample + 1) * T * width,
                0.0F);
    };
    const std::int64_t queries = p.query_lengths[static_cast<std::size_t>(b)];
    blank(r.out, b, queries, p.T, p.heads * p.d);
    blank(r.dq, b, queries, p.T, p.heads * p.d);
    for (std::int64_t h = 0; h < p.heads; ++h) blank(r.lse, b * p.heads + h, queries, p.T, 1);
    blank(r.dkv, b, p.key_lengths[static_cast<std::size_t>(b)], p.kv_T, 2 * p.kv_heads * p.d);
  }
}

void expect_attention(const Problem& p, DType dtype = DType::f32) {
  const Tensor q = make_random({p.B, p.T, p.heads * p.d}, 1, dtype, 2);
  const Tensor kv = make_random({p.B, p.kv_T, 2 * p.kv_heads * p.d}, 2, dtype, 2);
  const Tensor dout = make_random({p.B, p.T, p.heads * p.d}, 3, dtype);
  Result got = interpreted(p, dtype, q, kv, dout), want = expected(p, q, kv, dout);
  drop_padding(got, p);
  drop_padding(want, p);
  // Of an output and what is computed from it; sums stay in fp64.
  const double tolerance = dtype == DType::f32 ? 1e-6 : dtype == DType::f16 ? 2e-3 : 2e-2;
  EXPECT_TRUE(close(got.out, want.out, tolerance));
  EXPECT_TRUE(close(got.lse, want.lse, 1e-6));
  EXPECT_TRUE(close(got.dq, want.dq, tolerance));
  EXPECT_TRUE(close(got.dkv, want.dkv, tolerance));
}

TEST(AttentionGraph, IsAttention) {
  for (const bool causal : {false, true}) {
    for (const bool deterministic : {false, true}) {
      for (const float p : {0.0F, 0.3F}) {
        SCOPED_TRACE("causal " + std::to_string(causal) + " p " + std::to_string(p));
        expect_attention({2, 7, 7, 3, 3, 5, causal, deterministic, p});
      }
    }
  }
}

TEST(AttentionGraph, LeavesOutPadding) {
  for (const bool causal : {false, true}) {
    for (const float p : {0.0F, 0.3F}) {
      SCOPED_TRACE("causal " + std::to_string(causal) + " p " + std::to_string(p));
      expect_attention({.B = 3,
                        .T = 6,
                        .kv_T = 6,
                        .heads = 2,
                        .kv_heads = 2,
                        .d = 4,
                        .causal = causal,
                        .dropout_p = p,
                        .key_lengths = {6, 1, 4},
                        .query_lengths = {6, 6, 6}});
      expect_attention({.B = 3,
                        .T = 6,
                        .kv_T = 6,
                        .heads = 2,
                        .kv_heads = 2,
                        .d = 4,
                        .causal = causal,
                        .dropout_p = p,
                        .key_lengths = {6, 1, 4},
                        .query_lengths = {6, 1, 4}});
    }
  }
}

TEST(AttentionGraph, ServesSeveralQueryHeadsWithOneKeyHead) {
  expect_attention({2, 5, 5, 6, 2, 4, true});
  expect_attention({2, 5, 5, 4, 1, 4, false, true});
}

TEST(AttentionGraph, CrossesToAnotherSequence) {
  expect_attention({2, 4, 9, 2, 2, 4});
  expect_attention({.B = 2,
                    .T = 9,
                    .kv_T = 4,
                    .heads = 4,
                    .kv_heads = 2,
                    .d = 3,
                    .key_lengths = {4, 2},
                    .query_lengths = {5, 9}});
}

TEST(AttentionGraph, RoundsInputsAndResultsAlone) {
  for (const DType dtype : {DType::bf16, DType::f16})
    expect_attention({2, 12, 12, 2, 2, 8, true, false, 0.1F}, dtype);
}

TEST(AttentionGraph, AnotherComputationIsSeen) {
  const Problem p{1, 6, 6, 1, 1, 4};
  const Tensor q = make_random({1, 6, 4}, 1), kv = make_random({1, 6, 8}, 2);
  const Tensor dout = make_random({1, 6, 4}, 3);
  const Result want = expected(p, q, kv, dout);
  Problem other = p;
  other.causal = true;
  const Result got = interpreted(other, DType::f32, q, kv, dout);
  EXPECT_FALSE(close(got.out, want.out, 1e-3));
  EXPECT_FALSE(close(got.dq, want.dq, 1e-3));
  EXPECT_FALSE(close(got.dkv, want.dkv, 1e-3));
}

}  // namespace
}  // namespace weft
