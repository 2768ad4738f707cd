// The engine: what backward returns, in which order leaves finish, and what it frees.
#include "core/autograd/backward.hpp"

#include "core/ops/elementwise.hpp"
#include "core/ops/linear.hpp"
#include "core/ops/rows.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

Var leaf(const std::vector<float>& values) {
  return Var(to_tensor(values, {static_cast<std::int64_t>(values.size())}), true);
}
Tensor ones(std::int64_t n) {
  return to_tensor(std::vector<float>(static_cast<std::size_t>(n), 1), {n});
}

using Values = std::vector<float>;

TEST(Backward, SumsTheGradientsOfAllUses) {
  const Var x = leaf({1, 2});
  const Var y = add(add(x, scale(x, 3)), x);
  EXPECT_EQ(to_vector(backward(y, to_tensor({1, 10}, {2}))[x]), (Values{5, 50}));
}

TEST(Backward, SumsOverWeightedRoots) {
  const Var x = leaf({1, 2}), y = leaf({3, 4});
  const Var twice = scale(x, 2), sum = add(twice, y);
  const GradMap grads = backward({{sum, to_tensor({1, 10}, {2})},
                                  {twice, to_tensor({100, 1000}, {2})},
                                  {x, to_tensor({0.5F, 0.5F}, {2})}});
  EXPECT_EQ(to_vector(grads[x]), (Values{202.5F, 2020.5F}));
  EXPECT_EQ(to_vector(grads[y]), (Values{1, 10}));
}

TEST(Backward, CallsTheHookOnceForALeafThatIsARootTwice) {
  const Var x = leaf({1});
  int calls = 0;
  backward({{x, ones(1)}, {x, ones(1)}}, [&](const Node*, const Tensor& grad) {
    ++calls;
    EXPECT_EQ(to_vector(grad), Values{2});
  });
  EXPECT_EQ(calls, 1);
}

TEST(Backward, AGradientHandedToTwoInputsIsNotWrittenTo) {
  // add() hands one tensor to both inputs; a's later sum must not change what b got.
  const Var a = leaf({1}), b = leaf({2});
  const Var early = scale(a, 2);
  const Var y = add(add(a, b), early);
  const Tensor seed = ones(1);
  const GradMap grads = backward(y, seed);
  EXPECT_EQ(to_vector(grads[a]), Values{3});
  EXPECT_EQ(to_vector(grads[b]), Values{1});
  EXPECT_EQ(to_vector(seed), Values{1});
}

TEST(Backward, AddsInPlaceWhatNobodyElseHolds) {
  const Var x = leaf({1, 1});
  const void* first = nullptr;
  const auto use = [&](bool keep) {
    return record("use", ones(2), {x}, [&, keep](const Tensor&) -> Grads {
      const Tensor dx = to_tensor({1, 2}, {2});
      if (keep) first = dx.raw();
      return {dx};
    });
  };
  const Var older = use(false), newer = use(true);
  const Tensor grad = backward(add(older, newer), ones(2))[x];
  EXPECT_EQ(grad.raw(), first) << "a large gradient would need its memory a third time";
  EXPECT_EQ(to_vector(grad), (Values{2, 4}));
}

TEST(Backward, MixedDtypesAddUpInFp32) {
  const Var x(to_tensor({1, 2}, {2}, DType::bf16), true);
  const auto use = [&](DType gradient) {
    return record("use", to_tensor({0, 0}, {2}), {x}, [=](const Tensor&) -> Grads {
      return {to_tensor({1, 0x1p-9F}, {2}, gradient)};
    });
  };
  for (const auto& [first, second] :
       {std::pair{DType::f32, DType::bf16}, std::pair{DType::bf16, DType::f32}}) {
    const Tensor grad = backward(add(use(first), use(second)), ones(2))[x];
    EXPECT_EQ(grad.dtype(), DType::f32);
    EXPECT_EQ(to_vector(grad), (Values{2, 0x1p-8F}));
  }
}

TEST(Backward, LeavesFinishOnceNewestUseFirst) {
  const Var a = leaf({1}), b = leaf({2}), c = leaf({3}), unused = leaf({4});
  const Var ab = add(a, b);
  const Var abc = add(ab, c);
  const Var y = add(abc, b);  // b is used early and late: it finishes with its oldest use
  std::vector<const Node*> order;
  std::vector<float> values;
  const GradMap grads = backward(y, ones(1), [&](const Node* node, const Tensor& grad) {
    order.push_back(node);
    values.push_back(to_vector(grad)[0]);
  });
  EXPECT_EQ(order, (std::vector<const Node*>{c.node().get(), a.node().get(), b.node().get()}));
  EXPECT_EQ(values, (Values{1, 1, 2}));
  EXPECT_FALSE(grads[a]) << "what went to the hook is not kept";
  EXPECT_FALSE(grads[unused]);
}

TEST(Backward, AnInputWithoutAGradientGetsNone) {
  const Var a = leaf({1}), b = leaf({1});
  const Var y = record("first_only", ones(1), {a, b}, [](const Tensor& dy) -> Grads {
    return {dy, Tensor{}};
  });
  int calls = 0;
  backward(y, {}, [&](const Node* node, const Tensor&) {
    EXPECT_EQ(node, a.node().get());
    ++calls;
  });
  EXPECT_EQ(calls, 1);
}

TEST(Backward, ANodeThatGotNoGradientIsNotRun) {
  const Var a = leaf({1});
  const Var dead = record("dead", ones(1), {a}, [](const Tensor&) -> Grads {
    ADD_FAILURE() << "no gradient arrived here";
    return {Tensor{}};
  });
  const Var y = record("drops_it", ones(1), {dead, a}, [](const Tensor& dy) -> Grads {
    return {Tensor{}, dy};
  });
  EXPECT_EQ(to_vector(backward(y)[a]), Values{1});
}

TEST(Backward, TheRootMayBeALeafOrAConstant) {
  const Var x = leaf({2});
  EXPECT_EQ(to_vector(backward(x)[x]), Values{1});
  const Var constant(ones(1));
  EXPECT_FALSE(backward(constant)[constant]);
}

TEST(Backward, WrongSeedsAreRefused) {
  const Var x = leaf({1, 2});
  const Var y = scale(x, 2);
  expect_error([&] { backward(y); }, {"backward", "[2]", "no seed"});
  expect_error([&] { backward(y, ones(3)); }, {"backward", "[3]", "[2]"});
}

TEST(Backward, ASecondWalkIsRefused) {
  const Var x = leaf({1});
  const Var inner = scale(x, 2);
  const Var y = scale(inner, 3);
  backward(y);
  expect_error([&] { backward(y); }, {"'scale' was walked before"});
  expect_error([&] { backward(scale(inner, 1)); }, {"'scale' was walked before"});
}

TEST(Backward, FreesWhatNodesSavedOnTheWay) {
  const Var x = leaf({1});
  std::weak_ptr<int> saved;
  Var y;
  {
    auto kept = std::make_shared<int>(0);
    saved = kept;
    y = record("newest_last", ones(1), {x}, [kept](const Tensor& dy) -> Grads { return {dy}; });
  }
  const Var older = y;
  const Var z = record("newest", ones(1), {older}, [&](const Tensor& dy) -> Grads {
    EXPECT_FALSE(saved.expired());
    return {dy};
  });
  backward(z, {}, [&](const Node*, const Tensor&) {});
  EXPECT_TRUE(saved.expired()) << "though y is still held";
}

// A tied embedding: three ops make parts of one gradient, the last of them first.
struct TiedTable {
  Var table{make_random({5, 4}, 1), true};
  Var x{make_random({3, 4}, 2)};
  Tensor ids = make_indices({4, 0, 4});
  Tensor dy = make_random({3, 5}, 3);

  Var loss() const { return add(linear(embedding(table, ids), table), linear(x, table)); }

  // d loss / d table = dy^T x + dy^T e + scatter(dy table), e the embedded rows.
  std::vector<double> want() const {
    const std::vector<double> w = to_vector<double>(table.value()), g = to_vector<double>(dy);
    const std::vector<double> in = to_vector<double>(x.value()), id = to_vector<double>(ids);
    std::vector<double> sums(w.size());
    for (std::size_t n = 0; n < 3; ++n) {
      const auto row = static_cast<std::size_t>(id[n]);
      for (std::size_t v = 0; v < 5; ++v) {
        for (std::size_t c = 0; c < 4; ++c) {
          sums[v * 4 + c] += g[n * 5 + v] * (in[n * 4 + c] + w[row * 4 + c]);
          sums[row * 4 + c] += g[n * 5 + v] * w[v * 4 + c];
        }
      }
    }
    return sums;
  }
};

TEST(Backward, OpsAddTheirPartsOfAGradientInOnePlace) {
  const TiedTable tied;
  const Tensor anywhere = backward(tied.loss(), tied.dy)[tied.table];
  EXPECT_TRUE(close(anywhere, tied.want(), 1e-6));

  const Tensor place = make_random({5, 4}, 4);  // what is there is written over
  for (int step = 0; step < 2; ++step) {
    tied.table.node()->want_gradient_at(place);
    const Tensor got = backward(tied.loss(), tied.dy)[tied.table];
    EXPECT_EQ(got.raw(), place.raw());
    EXPECT_TRUE(same_bits(got, anywhere));
  }
  const Tensor elsewhere = backward(tied.loss(), tied.dy)[tied.table];  // the place is taken
  EXPECT_NE(elsewhere.raw(), place.raw());
  EXPECT_TRUE(same_bits(elsewhere, anywhere));
}

// What is collected so far is added to only where nobody else can see it.
TEST(Backward, PartsOfOthersAreNotAddedTo) {
  const TiedTable tied;
  const Tensor own = make_random({5, 4}, 4);
  const std::vector<float> before = to_vector(own);
  std::vector<double> want = tied.want();
  for (std::size_t i = 0; i < want.size(); ++i) want[i] += before[i];
  const auto loss = [&] {
    const Var y = tied.loss();
    return record("keeps_its_gradient", y.value(), {y, tied.table}, [&](const Tensor& dy) -> Grads {
      return {dy, own};
    });
  };
  EXPECT_TRUE(close(backward(loss(), tied.dy)[tied.table], want, 1e-6));
  EXPECT_EQ(to_vector(own), before);

  const Tensor place = make_random({5, 4}, 5);
  tied.table.node()->want_gradient_at(place);
  const Tensor got = backward(loss(), tied.dy)[tied.table];
  EXPECT_EQ(got.raw(), place.raw()) << "though another part came first";
  EXPECT_TRUE(close(got, want, 1e-6));
  EXPECT_EQ(to_vector(own), before);
}

TEST(Backward, APartInsideAnInnerBackwardIsOneOfTheOuter) {
  const TiedTable tied;
  const auto recomputed = [&](const Var& x) {  // as a block that is run again in backward
    return record("block", linear(x, tied.table).value(), {x, tied.table},
                  [&, value = x.value()](const Tensor& dy) -> Grads {
                    const Var again(value, true);
                    const GradMap inner = backward(linear(again, tied.table), dy);
                    return {inner[again], inner[tied.table]};
                  });
  };
  const auto loss = [&] {
    return add(recomputed(embedding(tied.table, tied.ids)), linear(tied.x, tied.table));
  };
  EXPECT_TRUE(close(backward(loss(), tied.dy)[tied.table], tied.want(), 1e-6));
  tied.table.node()->want_gradient_at(make_random({5, 4}, 4));
  EXPECT_TRUE(close(backward(loss(), tied.dy)[tied.table], tied.want(), 1e-6));
}

// As of blocks that share weights: what the outer walk has collected is added to by the inner one.
TEST(Backward, AnInnerBackwardAddsToWhatTheOuterCollected) {
  const Var w = leaf({1, 2});
  const auto part = [&](float value, bool accumulates) {
    return record("part", ones(2), {w}, [=](const Tensor& dy) -> Grads {
      auto [sum, accumulate] = gradient_part(*w.node(), {2}, dy.device());
      EXPECT_EQ(accumulate, accumulates);
      const Tensor own = to_tensor({value, value}, {2});
      if (accumulate) {
        backend(sum).add(sum, sum, own);
      } else {
        backend(sum).copy(sum, own);
      }
      return {sum};
    });
  };
  const Var block = record("block", ones(2), {w}, [&](const Tensor& dy) -> Grads {
    return {backward(part(10, true), dy)[w]};
  });
  const Var newest = part(1, false);
  EXPECT_EQ(to_vector(backward(add(block, newest), ones(2))[w]), (Values{11, 11}));
}

TEST(Backward, ALongChainDoesNotOverflowTheStack) {
  constexpr int kNodes = 200'000;
  const auto chain = [](const Var& x) {
    Var y = x;
    for (int i = 0; i < kNodes; ++i)
      y = record("pass_on", x.value(), {y}, [](const Tensor& dy) -> Grads { return {dy}; });
    return y;
  };
  const Var x = leaf({1});
  EXPECT_EQ(to_vector(backward(chain(x))[x]), Values{1});
  { const Var never_walked = chain(x); }  // freed by ~Node alone
  EXPECT_EQ(x.node().use_count(), 1);
}

TEST(Backward, SeesOneNodePerSharedValue) {
  // A ladder of 60 doublings has 2^60 paths, but 60 nodes.
  const Var x = leaf({1});
  Var y = x;
  for (int i = 0; i < 60; ++i) y = add(y, y);
  EXPECT_EQ(to_vector(backward(y)[x]), Values{0x1p60F});
}

TEST(NoGrad, KeepsNothing) {
  const Var x = leaf({1});
  {
    const NoGrad outer;
    { const NoGrad inner; }
    EXPECT_FALSE(scale(x, 2).requires_grad());
  }
  EXPECT_TRUE(scale(x, 2).requires_grad());
  EXPECT_FALSE(scale(Var(ones(1)), 2).requires_grad()) << "no input wants a gradient";
}

}  // namespace
}  // namespace weft
