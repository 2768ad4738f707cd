// The work that is counted of calls, against products and bytes counted by hand.
#include "core/backend/work.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "core/backend/profiled_backend.hpp"

namespace weft {
namespace {

constexpr std::int64_t M = 3, N = 5, K = 7;

void expect_product(const Tensor& a, const Tensor& b, const MatmulArgs& args) {
  const Tensor c({M, N}, DType::f32);
  const work::ProductSize size = work::product_size(c, a, args);
  EXPECT_EQ(size.M, M);
  EXPECT_EQ(size.N, N);
  EXPECT_EQ(size.K, K);
  const Work w = work::matmul(c, a, b, args);
  EXPECT_EQ(w.flops, 2 * M * N * K);
  EXPECT_EQ(w.bytes, 4 * (M * K + K * N + (args.accumulate ? 2 : 1) * M * N));
}

TEST(Work, OfProductsInEachLayout) {
  const auto matrix = [](std::int64_t rows, std::int64_t columns) {
    return Tensor({rows, columns}, DType::f32);
  };
  expect_product(matrix(M, K), matrix(K, N), {});
  expect_product(matrix(M, K), matrix(N, K), {.transpose_b = true});
  expect_product(matrix(K, M), matrix(K, N), {.transpose_a = true});
  expect_product(matrix(K, M), matrix(N, K), {.transpose_a = true, .transpose_b = true});
  expect_product(matrix(M, K), matrix(K, N), {.accumulate = true});
}

TEST(Work, OfProductsOfRowsInSeveralDims) {
  const MatmulArgs args{.transpose_b = true};
  const Tensor y({2, 3, N}, DType::bf16), x({2, 3, K}, DType::bf16), w({N, K}, DType::bf16);
  EXPECT_EQ(work::matmul(y, x, w, args).flops, 2 * 6 * N * K);
  const MatmulArgs of_dw{.transpose_a = true};
  const Tensor dw({N, K}, DType::f32);
  EXPECT_EQ(work::matmul(dw, y, x, of_dw).flops, 2 * 6 * N * K);
  EXPECT_EQ(work::matmul(dw, y, x, of_dw).bytes, 2 * 6 * (N + K) + 4 * N * K);
}

TEST(Work, OfRowsThatAreAdded) {
  const Tensor dx({100, 8}, DType::f32), dy({4, 8}, DType::bf16), index({4}, DType::i32);
  const double added = 4 * 8 * 2 + 4 * 4 + 2 * 4 * 8 * 4;  // dy, index, and the rows of dx twice
  EXPECT_EQ(work::scatter_add_rows(dx, dy, index, true).bytes, added);
  EXPECT_EQ(work::scatter_add_rows(dx, dy, index, false).bytes, added + 100 * 8 * 4);
}

TEST(Work, OfAProductOfNothingIsNone) {
  EXPECT_EQ(work::matmul(Tensor({2, 3}, DType::f32), Tensor({2, 0}, DType::f32),
                         Tensor({0, 3}, DType::f32), {})
                .flops,
            0);
}

// Two samples of four tokens, three heads of five.
class AttentionWork : public testing::Test {
 protected:
  double forward(const AttentionArgs& args) const {
    return work::attention_forward(out_, lse_, qkv_, args).flops;
  }
  // Per pair of a query and a key: its score and its part of the output.
  static constexpr double kPair = 2 * 2 * 15;

  Tensor qkv_{Shape{2, 4, 45}, DType::f32}, out_{Shape{2, 4, 15}, DType::f32},
      lse_{Shape{2, 3, 4}, DType::f32};
};

TEST_F(AttentionWork, IsThatOfAllPairs) { EXPECT_EQ(forward({.heads = 3}), kPair * 2 * 16); }

TEST_F(AttentionWork, LeavesOutKeysThatComeLater) {
  EXPECT_EQ(forward({.heads = 3, .causal = true}), kPair * 2 * 10);
}

TEST_F(AttentionWork, LeavesOutPadding) {
  Tensor mask({2, 4}, DType::u8);
  std::fill_n(mask.data<std::uint8_t>(), 8, std::uint8_t{1});
  mask.data<std::uint8_t>()[7] = 0;
  EXPECT_EQ(forward({.heads = 3, .key_mask_BT = mask}), kPair * 4 * 7);
}

TEST_F(AttentionWork, OfTheBackwardIsFiveProducts) {
  const AttentionArgs args{.heads = 3};
  const Work w = work::attention_backward(qkv_, out_, qkv_, out_, lse_, args);
  EXPECT_EQ(w.flops, 2.5 * forward(args));
  EXPECT_EQ(w.bytes, 2 * qkv_.bytes() + 2 * out_.bytes() + lse_.bytes());
}

TEST(Work, OfTheOptimizerIsReadingAndWriting) {
  const Tensor x({100}, DType::f32);
  const AdamTensors masters{.w = x, .m = x, .v = x, .copy = Tensor({100}, DType::bf16), .g = x};
  const AdamTensors parameters[] = {masters, {.w = x, .m = x, .v = x, .g = x}};
  EXPECT_EQ(work::adamw(parameters).bytes, 100 * (7 * 4 + 2) + 100 * 7 * 4);
  EXPECT_EQ(work::lamb_moments(parameters).bytes, 2 * 100 * 6 * 4);
  EXPECT_EQ(work::lamb_apply(parameters).bytes, 100 * (4 * 4 + 2) + 100 * 4 * 4);
}

TEST(ProfiledBackend, RecordsACallWithItsWork) {
  ProfiledBackend profiled(backend(Device{}));
  const Tensor x({10}, DType::f32);
  Tensor y({10}, DType::f32);
  backend(x).fill(y, 1);
  start_recording();
  profiled.add(y, x, y);
  const Timeline timeline = stop_recording();
  ASSERT_EQ(timeline.spans.size(), 1U);
  const Span& span = timeline.spans[0];
  EXPECT_STREQ(span.name, "add");
  EXPECT_TRUE(span.is_call);
  EXPECT_EQ(span.work.bytes, 3 * 40);
  EXPECT_GE(span.end, span.begin);
  EXPECT_EQ(timeline.threads, std::vector<std::string>{"thread 0"});
}

}  // namespace
}  // namespace weft
