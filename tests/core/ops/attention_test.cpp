// The attention op: against fp64, gradients, and how it draws dropout from the pass.
#include "core/ops/attention.hpp"

#include "tests/core/backend/attention_reference.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/core/ops/gradient_check.hpp"

namespace weft {
namespace {

constexpr Heads kHeads{.count = 2, .first = 1, .total = 4};

struct Setting {
  AttentionMask mask;
  float p = 0;
  bool training = false;

  Pass pass() const {
    return {.training = training, .seed = 5, .step = 6, .first_sample = 3, .next_place = 7};
  }
};

OpCase attention_case(const Setting& s) {
  const Shape shape{2, 5, 3 * kHeads.count * 4};
  return {.inputs = {make_random(shape, 1)},
          .op =
              [=](const auto& in) {
                Pass pass = s.pass();
                return attention(in[0], s.mask, kHeads, s.p, pass);
              },
          .reference =
              [=](const auto& in) {
                const Tensor qkv = to_tensor(std::vector<float>(in[0].begin(), in[0].end()), shape);
                const AttentionArgs args{.heads = kHeads.count,
                                         .scale = 0.5F,
                                         .causal = s.mask.causal,
                                         .key_mask_BT = s.mask.keys_BT,
                                         .dropout_p = s.training ? s.p : 0,
                                         .dropout_key = {.seed = 5, .step = 6, .place = 7},
                                         .first_sample = 3,
                                         .first_head = kHeads.first,
                                         .total_heads = kHeads.total};
                return attention_reference(qkv, make_empty({2, 5, 8}), args).out;
              },
          .half_tolerance = 3e-2};
}

// Texts of 5 and of 2 tokens.
Tensor padding() { return to_tensor({1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, {2, 5}, DType::u8); }

TEST(AttentionOp, Plain) { check_op(attention_case({})); }
TEST(AttentionOp, Causal) { check_op(attention_case({.mask = {.causal = true}})); }
TEST(AttentionOp, Padded) { check_op(attention_case({.mask = {.keys_BT = padding()}})); }
TEST(AttentionOp, DropoutInTraining) {
  check_op(attention_case({.mask = {.keys_BT = padding()}, .p = 0.3F, .training = true}));
}
TEST(AttentionOp, NoDropoutInEvaluation) { check_op(attention_case({.p = 0.3F})); }

TEST(AttentionOp, TakesOneKeyOfThePassWhateverTheMode) {
  for (const bool training : {false, true}) {
    Pass pass{.training = training, .next_place = 4};
    attention(Var(make_random({1, 2, 12}, 1)), {}, {.count = 2, .first = 0, .total = 2}, 0.1F,
              pass);
    EXPECT_EQ(pass.next_place, 5U);
  }
}

TEST(AttentionOp, MismatchesNameTheShapes) {
  Pass pass;
  const auto run = [&](const Shape& qkv, const AttentionMask& mask, const Heads& heads) {
    attention(Var(make_empty(qkv)), mask, heads, 0, pass);
  };
  const Heads two{.count = 2, .first = 0, .total = 2};
  expect_error([&] { run({2, 5, 16}, {}, two); }, {"attention", "[2, 5, 16]", "2 heads"});
  expect_error([&] { run({2, 12}, {}, two); }, {"attention", "[2, 12]"});
  expect_error(
      [&] {
        run({2, 5, 12}, {}, {.count = 2, .first = 3, .total = 4});
      },
      {"attention", "heads 3 to 4 of 4"});
  expect_error(
      [&] {
        run({2, 5, 12}, {.keys_BT = make_empty({2, 4}, DType::u8)}, two);
      },
      {"attention", "[2, 4]", "[2, 5, 12]"});
}

TEST(AttentionOp, RefusesWhatIsNoProbability) {
  Pass pass{.training = true};
  for (const float p : {-0.1F, 1.0F, std::nanf("")}) {
    expect_error(
        [&] {
          attention(Var(make_random({1, 2, 12}, 1)), {}, {.count = 2, .first = 0, .total = 2}, p,
                    pass);
        },
        {"attention", "p = ", "[1, 2, 12]"});
  }
}

}  // namespace
}  // namespace weft
