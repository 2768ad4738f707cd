// AdamW and LAMB against fp64 written here, and AdamW against PyTorch.
#include "core/optim/optimizer.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

constexpr double kLr = 0.01, kGradScale = 0.5;

// A matrix and a bias, as a layer has them.
struct Model {
  explicit Model(DType dtype = DType::f32)
      : weight{.var = Var(make_random({7, 11}, 1, dtype), true), .full = {7, 11}},
        bias{.var = Var(make_random({11}, 2, dtype), true), .full = {11}, .decay = false} {}
  std::vector<NamedParameter> list() { return {{"weight", &weight}, {"bias", &bias}}; }
  Parameter weight, bias;
};

std::vector<Tensor> gradients(std::int64_t update) {
  const auto seed = static_cast<std::uint64_t>(100 * update);
  return {make_random({7, 11}, seed), make_random({11}, seed + 1)};
}

void take_steps(Optimizer& optimizer, std::int64_t first, std::int64_t last) {
  for (std::int64_t update = first; update <= last; ++update) {
    optimizer.step(gradients(update), {.lr = kLr, .grad_scale = kGradScale, .update = update});
  }
}

// The textbook update of one parameter in fp64.
struct Reference {
  std::vector<double> w, m, v;
  bool decays;

  Reference(const Parameter& p, bool decay) : decays(decay) {
    for (const float x : to_vector(p.var.value())) w.push_back(double{x});
    m.assign(w.size(), 0);
    v.assign(w.size(), 0);
  }

  void step(const OptimizerOptions& o, const Tensor& gradient, std::int64_t update) {
    const std::vector<float> g = to_vector(gradient);
    const double t = static_cast<double>(update);
    const double c1 = o.bias_correction ? 1 - std::pow(o.beta1, t) : 1;
    const double c2 = o.bias_correction ? 1 - std::pow(o.beta2, t) : 1;
    std::vector<double> u(w.size());
    double w_squares = 0, u_squares = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double x = double{g[i]} * kGradScale;
      m[i] = o.beta1 * m[i] + (1 - o.beta1) * x;
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * x * x;
      u[i] = m[i] / c1 / (std::sqrt(v[i] / c2) + o.eps) + (decays ? o.weight_decay * w[i] : 0);
      w_squares += w[i] * w[i];
      u_squares += u[i] * u[i];
    }
    const bool trusts = o.type == OptimizerType::lamb && decays && w_squares > 0 && u_squares > 0;
    const double ratio = trusts ? std::sqrt(w_squares) / std::sqrt(u_squares) : 1;
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= kLr * ratio * u[i];
  }
};

TEST(Optimizer, TenStepsEqualFp64) {
  for (const OptimizerType type : {OptimizerType::adamw, OptimizerType::lamb}) {
    for (const bool correction : {true, false}) {
      const OptimizerOptions options{
          .type = type, .beta2 = 0.98, .weight_decay = 0.1, .bias_correction = correction};
      Model model;
      Reference weight(model.weight, true), bias(model.bias, false);
      Optimizer optimizer(model.list(), options);
      for (std::int64_t update = 1; update <= 10; ++update) {
        const std::vector<Tensor> g = gradients(update);
        weight.step(options, g[0], update);
        bias.step(options, g[1], update);
        take_steps(optimizer, update, update);
        EXPECT_TRUE(close(model.weight.var.value(), weight.w, 1e-6)) << update;
        EXPECT_TRUE(close(model.bias.var.value(), bias.w, 1e-6)) << update;
      }
      const auto state = optimizer.state();
      EXPECT_EQ(state[0].first, "exp_avg.");
      EXPECT_TRUE(close(state[0].second[0], weight.m, 1e-6));
      EXPECT_EQ(state[1].first, "exp_avg_sq.");
      EXPECT_TRUE(close(state[1].second[1], bias.v, 1e-6));
    }
  }
}

std::vector<float> floats(const Json& list) { return list.get<std::vector<float>>(); }

TEST(Optimizer, AdamWEqualsPyTorch) {
  const Json fixture = read_json(std::string(WEFT_TEST_DIR) + "/core/optim/adamw.json");
  const Json& o = fixture["options"];
  Parameter weight{.var = Var(to_tensor(floats(fixture["start"]["weight"]), {3, 5}), true)};
  Parameter bias{.var = Var(to_tensor(floats(fixture["start"]["bias"]), {5}), true),
                 .decay = false};
  Optimizer optimizer({{"weight", &weight}, {"bias", &bias}}, {.beta1 = o["betas"][0],
                                                               .beta2 = o["betas"][1],
                                                               .eps = o["eps"],
                                                               .weight_decay = o["weight_decay"]});
  std::int64_t update = 0;
  for (const Json& step : fixture["steps"]) {
    optimizer.step({to_tensor(floats(step["weight"]["gradient"]), {3, 5}),
                    to_tensor(floats(step["bias"]["gradient"]), {5})},
                   {.lr = o["lr"], .update = ++update});
    const auto expected = [&](const char* name) {
      return step[name]["value"].get<std::vector<double>>();
    };
    EXPECT_TRUE(close(weight.var.value(), expected("weight"), 1e-6)) << update;
    EXPECT_TRUE(close(bias.var.value(), expected("bias"), 1e-6)) << update;
  }
  EXPECT_EQ(update, 10);
}

TEST(Optimizer, Bf16ParametersAreTheirRoundedMasters) {
  for (const OptimizerType type : {OptimizerType::adamw, OptimizerType::lamb}) {
    Model model(DType::bf16);
    const Tensor start = to_dtype(model.weight.var.value(), DType::f32);
    Optimizer optimizer(model.list(), {.type = type});
    EXPECT_TRUE(same_bits(optimizer.master()[0], start));
    take_steps(optimizer, 1, 3);
    EXPECT_FALSE(same_bits(optimizer.master()[0], start));
    EXPECT_TRUE(same_bits(model.weight.var.value(), to_dtype(optimizer.master()[0], DType::bf16)));
    EXPECT_TRUE(same_bits(model.bias.var.value(), to_dtype(optimizer.master()[1], DType::bf16)));
  }
}

TEST(Optimizer, RestoredTensorsContinueBitForBit) {
  for (const OptimizerType type : {OptimizerType::adamw, OptimizerType::lamb}) {
    Model first(DType::bf16), second(DType::bf16);
    Optimizer undisturbed(first.list(), {.type = type});
    take_steps(undisturbed, 1, 4);

    Optimizer restored(second.list(), {.type = type});
    const auto fill = [](const std::vector<Tensor>& to, const std::vector<Tensor>& from) {
      for (std::size_t i = 0; i < to.size(); ++i) overwrite(to[i], from[i]);
    };
    restored.load([&] {
      fill(restored.master(), undisturbed.master());
      for (std::size_t k = 0; k < 2; ++k)
        fill(restored.state()[k].second, undisturbed.state()[k].second);
    });
    EXPECT_TRUE(same_bits(second.weight.var.value(), first.weight.var.value()));

    take_steps(undisturbed, 5, 8);
    take_steps(restored, 5, 8);
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_TRUE(same_bits(restored.master()[i], undisturbed.master()[i]));
    EXPECT_TRUE(same_bits(second.bias.var.value(), first.bias.var.value()));
  }
}

TEST(Optimizer, TellsThatWeightsChanged) {
  Model model;
  Optimizer optimizer(model.list(), {});
  const std::uint64_t before = model.weight.var.value().storage().version();
  take_steps(optimizer, 1, 1);
  const std::uint64_t after = model.weight.var.value().storage().version();
  EXPECT_GT(after, before);
  optimizer.load([] {});
  EXPECT_GT(model.weight.var.value().storage().version(), after);
}

// Two halves of a matrix, each with the other's squared norms added, move like the whole.
TEST(Optimizer, LambOfAShardUsesTheNormsOfTheWhole) {
  const Tensor whole = make_random({8, 5}, 1), gradient = make_random({8, 5}, 2);
  const auto updated = [&](std::int64_t first, std::int64_t rows, const std::vector<double>& rest) {
    Parameter p{.var = Var(to_dtype(whole.narrow(first, rows), DType::f32), true),
                .shard = {.dim = rows == 8 ? -1 : 0}};
    std::vector<double> own;
    OptimizerOptions options{.type = OptimizerType::lamb};
    if (rows < 8) {
      options.sum_over_tensor_ranks = [&](Tensor& squares) {
        std::vector<double> sums = own = to_vector<double>(squares);
        for (std::size_t i = 0; i < rest.size(); ++i) sums[i] += rest[i];
        overwrite(squares, to_tensor(sums, squares.shape(), DType::f64));
      };
    }
    Optimizer({{"w", &p}}, options)
        .step({to_dtype(gradient.narrow(first, rows), DType::f32)}, {.lr = kLr});
    return std::pair(p.var.value(), own);
  };
  const std::vector<double> upper = updated(0, 4, {}).second, lower = updated(4, 4, {}).second;
  ASSERT_EQ(upper.size(), 2U);
  const Tensor expected = updated(0, 8, {}).first;
  EXPECT_TRUE(close(updated(0, 4, lower).first, to_vector(expected.narrow(0, 4)), 1e-6));
  EXPECT_TRUE(close(updated(4, 4, upper).first, to_vector(expected.narrow(4, 4)), 1e-6));
  EXPECT_FALSE(close(updated(4, 4, {}).first, to_vector(expected.narrow(4, 4)), 1e-6));
}

// Parameters with and without a ratio, cut and whole, in any order: each moves as if it were alone,
// and only the norms of the cut ones are summed over ranks.
TEST(Optimizer, LambTellsItsParametersApart) {
  struct Kind {
    bool decays, cut;
  };
  const Kind kinds[] = {{false, false}, {true, false}, {true, true},
                        {false, true},  {true, false}, {true, true}};
  OptimizerOptions options{.type = OptimizerType::lamb, .weight_decay = 0.1};
  std::int64_t summed = 0;
  options.sum_over_tensor_ranks = [&](Tensor& squares) { summed += squares.numel(); };
  std::vector<Parameter> parameters;
  std::vector<Reference> references;
  std::vector<Tensor> g;
  for (const auto& [decays, cut] : kinds) {
    const auto i = static_cast<std::int64_t>(parameters.size());
    const Shape shape{3, 5 + i};
    const auto seed = static_cast<std::uint64_t>(i);
    parameters.push_back({.var = Var(make_random(shape, seed), true),
                          .shard = {.dim = cut ? 0 : -1},
                          .decay = decays});
    references.emplace_back(parameters.back(), decays);
    g.push_back(make_random(shape, 50 + seed));
  }
  std::vector<NamedParameter> list;
  for (Parameter& p : parameters) list.push_back({"p", &p});
  Optimizer optimizer(list, options);
  for (std::int64_t update = 1; update <= 3; ++update) {
    optimizer.step(g, {.lr = kLr, .grad_scale = kGradScale, .update = update});
    for (std::size_t i = 0; i < list.size(); ++i) {
      references[i].step(options, g[i], update);
      EXPECT_TRUE(close(parameters[i].var.value(), references[i].w, 1e-6)) << i << ", " << update;
    }
  }
  EXPECT_EQ(summed, 3 * 2 * 2);
}

TEST(Optimizer, GradientsAreOnlyRead) {
  for (const OptimizerType type : {OptimizerType::adamw, OptimizerType::lamb}) {
    Model model;
    Optimizer optimizer(model.list(), {.type = type});
    const std::vector<Tensor> used = gradients(1);
    optimizer.step(used, {.lr = kLr});
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(same_bits(used[i], gradients(1)[i]));
  }
}

TEST(Optimizer, LambMovesAParameterThatIsZero) {
  Parameter p{.var = Var(to_tensor(std::vector<float>(6, 0), {6}), true)};
  Optimizer({{"w", &p}}, {.type = OptimizerType::lamb})
      .step({make_random({6}, 1)}, {.lr = kLr});  // ratio 1: the first step of Adam is lr
  for (const float w : to_vector(p.var.value())) EXPECT_NEAR(std::abs(w), kLr, 1e-5);
}

TEST(Optimizer, NamesAGradientThatDoesNotFit) {
  Model model;
  Optimizer optimizer(model.list(), {});
  const auto message = [&](const std::vector<Tensor>& g) -> std::string {
    try {
      optimizer.step(g, {});
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message({gradients(1)[0]}), "optimizer: 1 gradients for 2 parameters");
  EXPECT_EQ(message({gradients(1)[0], Tensor{}}), "optimizer: the gradient of bias is missing");
  EXPECT_EQ(message({gradients(1)[1], gradients(1)[1]}),
            "optimizer: the gradient of weight is [11] f32");
  EXPECT_EQ(message({make_random({7, 11}, 1, DType::bf16), gradients(1)[1]}),
            "optimizer: the gradient of weight is [7, 11] bf16");
}

}  // namespace
}  // namespace weft
