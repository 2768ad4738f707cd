// The dropout op.
#include "core/ops/dropout.hpp"

#include "core/base/error.hpp"
#include "tests/core/ops/gradient_check.hpp"

namespace weft {
namespace {

Pass training_pass(std::int64_t first_sample = 0) {
  return {.training = true, .seed = 11, .step = 5, .first_sample = first_sample};
}

TEST(DropoutOp, KeepsAndScalesByTheStreamOfItsPass) {
  const float p = 0.3F;
  check_op({.inputs = {make_random({3, 17}, 1)},
            .op =
                [=](const auto& in) {
                  Pass pass = training_pass();
                  pass.next_place = 4;
                  return dropout(in[0], p, pass);
                },
            .reference =
                [=](const auto& in) {
                  std::vector<double> y = in[0];
                  const PhiloxKey key{.seed = 11, .step = 5, .place = 4};
                  for (std::size_t i = 0; i < y.size(); ++i)
                    y[i] = philox_u32(key, i) >= drop_threshold(p) ? y[i] / (1 - double{p}) : 0;
                  return y;
                }});
}

TEST(DropoutOp, SamplesHaveTheSameMaskInAnyMicroBatch) {
  const Var x(make_random({6, 2, 5}, 1));
  Pass whole = training_pass(), second = training_pass(4);
  const Tensor all = dropout(x, 0.5F, whole).value();
  const Tensor part = dropout(Var(x.value().narrow(4, 2)), 0.5F, second).value();
  EXPECT_TRUE(same_bits(part, to_dtype(all.narrow(4, 2), DType::f32)));
}

TEST(DropoutOp, EachDropoutOfAPassHasItsOwnMask) {
  const Var x(make_random({4, 50}, 1));
  Pass pass = training_pass();
  const Tensor a = dropout(x, 0.5F, pass).value(), b = dropout(x, 0.5F, pass).value();
  EXPECT_FALSE(same_bits(a, b));
}

TEST(DropoutOp, IsTheIdentityInEvaluation) {
  const Var x(make_random({4, 5}, 1), true);
  Pass pass = training_pass();
  pass.training = false;
  EXPECT_EQ(dropout(x, 0.5F, pass).node(), x.node());
  EXPECT_EQ(pass.next_place, 1U);  // and yet takes its place: layouts of train and test agree
  Pass none = training_pass();
  EXPECT_EQ(dropout(x, 0, none).node(), x.node());
}

TEST(DropoutOp, RejectsWhatIsNoProbability) {
  const Var x(make_random({4, 5}, 1));
  for (const float p : {-0.1F, 1.0F, std::nanf("")}) {
    Pass pass = training_pass();
    EXPECT_THROW(dropout(x, p, pass), Error) << p;
  }
}

}  // namespace
}  // namespace weft
