// A short run of a GPT-like stack: it learns, and a device follows the CPU.
#include <cmath>
#include <map>
#include <utility>

#include <gtest/gtest.h>

#include "benchmarks/gpt2.hpp"
#include "core/autograd/backward.hpp"
#include "core/nn/init.hpp"
#include "core/optim/clip.hpp"
#include "core/optim/optimizer.hpp"
#include "parallel/data_parallel.hpp"
#include "parallel/grad_norm.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

// Heads of 16 features, which cuDNN takes in 16-bit types; multiples of 8 everywhere, for which
// cuBLASLt has its epilogues.
constexpr Gpt2Shape kShape{.vocabulary = 96, .hidden = 32, .layers = 2, .heads = 2, .length = 16};
constexpr std::int64_t kBatch = 2;
constexpr int kSteps = 12;

struct Tokens {
  Tensor ids_BT, targets_N;
};

// Each token tells the next: id -> 5 id + 1.
Tokens tokens_of_step(std::uint64_t step, Device device) {
  Tokens t{Tensor({kBatch, kShape.length}, DType::i32),
           Tensor({kBatch * kShape.length}, DType::i32)};
  for (std::int64_t b = 0; b < kBatch; ++b) {
    std::int64_t id = philox_u32({.seed = step}, static_cast<std::uint64_t>(b)) % kShape.vocabulary;
    for (std::int64_t i = 0; i < kShape.length; ++i) {
      const std::int64_t at = b * kShape.length + i;
      t.ids_BT.data<std::int32_t>()[at] = static_cast<std::int32_t>(id);
      id = (5 * id + 1) % kShape.vocabulary;
      t.targets_N.data<std::int32_t>()[at] = static_cast<std::int32_t>(id);
    }
  }
  return {to_device(t.ids_BT, device), to_device(t.targets_N, device)};
}

Tensor places_BT(Device device) {
  Tensor places({kBatch, kShape.length}, DType::i32);
  for (std::int64_t i = 0; i < places.numel(); ++i)
    places.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % kShape.length);
  return to_device(places, device);
}

std::vector<double> train(DType dtype, Device device) {
  Mesh mesh = Mesh::single(device);
  Gpt2 model(kShape, mesh.tensor(), {dtype, device});
  initialize(model, 11, {.rank = 0, .ranks = 1});
  const std::vector<NamedParameter> list = parameters(model);
  GradientBuckets buckets(list, mesh);
  Optimizer optimizer(list, {});
  const Tensor places = places_BT(device);
  std::vector<double> values;
  for (int step = 1; step <= kSteps; ++step) {
    const Tokens tokens = tokens_of_step(static_cast<std::uint64_t>(step), device);
    Pass pass{.training = true};
    buckets.zero();
    const Var loss = scale(model.loss(tokens.ids_BT, places, tokens.targets_N, pass),
                           1.0F / static_cast<float>(tokens.targets_N.numel()));
    backward(loss, {}, buckets.hook(true));
    buckets.finish();
    const double norm = global_grad_norm(buckets, list, mesh);
    optimizer.step(buckets.gradients(),
                   {.lr = 5e-3, .grad_scale = clip_scale(norm, 1.0), .update = step});
    values.push_back(to_vector<double>(loss.value())[0]);
  }
  return values;
}

// The mean losses of a run whose first weights and tokens are always the same.
const std::vector<double>& losses(DType dtype, Device device) {
  static std::map<std::pair<DType, DeviceType>, std::vector<double>> runs;
  std::vector<double>& run = runs[{dtype, device.type}];
  if (run.empty()) run = train(dtype, device);
  return run;
}

struct Precision {
  DType dtype;
  double tolerance;  // of a loss, relatively
};
constexpr Precision kPrecisions[] = {{DType::f32, 1e-4}, {DType::bf16, 2e-2}, {DType::f16, 5e-3}};

bool computes_in(DType dtype, Device device) {
  return dtype != DType::f16 || device.type != DeviceType::cpu;
}

TEST(Gpt2Training, Learns) {
  for (const auto& [dtype, tolerance] : kPrecisions) {
    if (!computes_in(dtype, test_device())) continue;
    const std::vector<double>& run = losses(dtype, test_device());
    EXPECT_NEAR(run.front(), std::log(kShape.vocabulary), 0.1) << name_of(dtype);
    EXPECT_LT(run.back(), run.front() - 0.3) << name_of(dtype);
  }
}

// In every precision, as the CPU in fp32.
TEST(Gpt2Training, FollowsTheCpu) {
  const std::vector<double>& exact = losses(DType::f32, {});
  for (const auto& [dtype, tolerance] : kPrecisions) {
    if (!computes_in(dtype, test_device())) continue;
    const std::vector<double>& run = losses(dtype, test_device());
    for (std::size_t i = 0; i < run.size(); ++i) {
      EXPECT_NEAR(run[i], exact[i], tolerance * exact[i]) << name_of(dtype) << ", step " << i + 1;
    }
  }
}

}  // namespace
}  // namespace weft
