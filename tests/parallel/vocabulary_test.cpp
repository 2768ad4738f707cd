// The vocabulary cut over the tensor axis: embedding, tied logits and cross entropy against one
// rank.
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/ops/cross_entropy.hpp"
#include "parallel/cross_entropy.hpp"
#include "parallel/embedding.hpp"
#include "tests/parallel/parallel_helpers.hpp"

namespace weft {
namespace {

constexpr std::int64_t kWidth = 6;

// A language model of one table: logits of the embedded ids over the same table.
class TiedModel final : public Module {
 public:
  TiedModel(std::int64_t vocab, Communicator& tensor, DType dtype)
      : tensor_(&tensor), words_(vocab, kWidth, tensor, test_options(dtype), {}) {
    const Shard shard{.dim = 0};
    bias_ = {.var = Var(make_empty(shard_shape({vocab}, shard, tensor.size()), dtype), true),
             .full = {vocab},
             .shard = shard,
             .init = {},
             .decay = false};
  }
  CrossEntropy operator()(const Tensor& ids, const Tensor& targets) const {
    return vocab_cross_entropy(words_.logits(words_(ids), bias_.var), targets, words_.range().first,
                               *tensor_);
  }
  const VocabEmbedding& words() const { return words_; }
  void visit(Visitor& v) override {
    v("words", words_);
    v("bias", bias_);
  }

 private:
  Communicator* tensor_;
  VocabEmbedding words_;
  Parameter bias_;
};

struct VocabCase {
  std::int64_t vocab;
  DType dtype;
  double tolerance;
};

class VocabTest : public testing::TestWithParam<VocabCase> {};

TEST_P(VocabTest, EqualsOneRank) {
  const auto [vocab, dtype, tolerance] = GetParam();
  const auto tensor = test_world();
  const auto self = self_communicator();
  TiedModel model(vocab, *tensor, dtype);
  TiedModel whole(vocab, *self, dtype);
  fill_parameters(model, *tensor, 1.0F);
  fill_parameters(whole, *self, 1.0F);

  const auto last = static_cast<std::int32_t>(vocab - 1);
  const Tensor ids = make_indices({0, last, 3, 3, 7, 5, 1});
  const Tensor targets = make_indices({last, 0, -1, 3, 2, 5, -100});
  const CrossEntropy got = model(ids, targets);
  const CrossEntropy want = whole(ids, targets);
  EXPECT_TRUE(close(got.loss.value(), want.loss.value(), tolerance));
  EXPECT_TRUE(same_bits(got.correct, want.correct));
  const Tensor seed = to_tensor({0.25F}, {1});
  const GradMap grads = backward(got.loss, seed);
  const GradMap grads_whole = backward(want.loss, seed);
  expect_parts(model, grads, *tensor, whole, grads_whole, tolerance);
}

TEST_P(VocabTest, OneRankEqualsThePlainLoss) {
  const auto [vocab, dtype, tolerance] = GetParam();
  const auto self = self_communicator();
  const Tensor values = make_random({5, vocab}, 3, dtype, 2);
  const Var a(to_dtype(values, dtype), true);
  const Var b(to_dtype(values, dtype), true);
  const Tensor targets = make_indices({1, 0, -1, 8, 2});
  const CrossEntropy got = vocab_cross_entropy(a, targets, 0, *self);
  const CrossEntropy want = cross_entropy(b, targets);
  EXPECT_TRUE(close(got.loss.value(), want.loss.value(), 1e-6));
  EXPECT_TRUE(same_bits(got.correct, want.correct));
  EXPECT_TRUE(close(backward(got.loss)[a], backward(want.loss)[b], 1e-6));
}

// 12 rows divide over 1, 2 and 4 ranks; of 11 and 10 the last ranks have fewer. Tolerances as for
// the linear layers.
INSTANTIATE_TEST_SUITE_P(
    Sizes, VocabTest,
    testing::Values(VocabCase{12, DType::f32, 2e-6}, VocabCase{11, DType::f32, 2e-6},
                    VocabCase{10, DType::f32, 2e-6}, VocabCase{11, DType::bf16, 2e-2}),
    [](const auto& info) {
      return std::string(name_of(info.param.dtype)) + "_" + std::to_string(info.param.vocab);
    });

TEST(VocabTest, RowsAreCutEvenlyWithThePaddingLast) {
  const auto tensor = mpi_communicator();
  const std::int64_t each = (10 + tensor->size() - 1) / tensor->size();
  VocabEmbedding words(10, kWidth, *tensor, DType::f32, {});
  EXPECT_EQ(words.range().first, each * tensor->rank());
  EXPECT_EQ(tensor->all_reduce(words.range().rows, ReduceOp::sum), 10);
  EXPECT_EQ(parameters(words)[0].parameter->var.shape(), Shape({each, kWidth}));
  EXPECT_EQ(parameters(words)[0].parameter->full, Shape({10, kWidth}));
}

TEST(VocabTest, RefusesAVocabularySmallerThanTheRanksNeed) {
  const auto tensor = mpi_communicator();
  if (tensor->size() == 1) {
    EXPECT_EQ(vocab_range(1, *tensor).rows, 1);
    return;
  }
  const std::int64_t vocab = tensor->size() == 4 ? 5 : 1;  // 5 rows by two: the fourth has none
  EXPECT_THROW(vocab_range(vocab, *tensor), InputError);
}

}  // namespace
}  // namespace weft
