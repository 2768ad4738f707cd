// A step of accumulated gradients, with the loss scaled and not.
#include "launch/training/step.hpp"

#include <cmath>
#include <limits>
#include <numeric>

#include "core/optim/optimizer.hpp"
#include "core/tensor/caching_allocator.hpp"
#include "models/registry.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

// A tiny model and two micro-batches of three samples for it.
class Step : public testing::Test {
 protected:
  StepResult take(double loss_scale) {
    return step_.take(batches_, agree_on_step(*model_, batches_, false, mesh_), 3, loss_scale);
  }

  static Batch batch(std::int64_t first_sample) {
    const auto number = static_cast<std::int32_t>(first_sample);
    return make_batch(std::vector<Sample>(3, Sample{.ids = {2, 7 + number, 4, 9, 3},
                                                    .type_ids = {0, 0, 0, 1, 1},
                                                    .places = {2, 3},
                                                    .targets = {11, 12 + number},
                                                    .sentence_label = 1}),
                      8, 0, first_sample);
  }

  Mesh mesh_ = Mesh::single(test_device());
  std::unique_ptr<PretrainingModel> model_ = make_model({{"model_type", "bert"},
                                                         {"vocab_size", 20},
                                                         {"hidden_size", 16},
                                                         {"num_hidden_layers", 1},
                                                         {"num_attention_heads", 2},
                                                         {"intermediate_size", 32},
                                                         {"max_position_embeddings", 8}},
                                                        mesh_, DType::f32, 1);
  GradientBuckets buckets_{parameters(*model_), mesh_};
  TrainingStep step_{*model_, buckets_, mesh_, {.seed = 5}};
  std::vector<Batch> batches_ = {batch(0), batch(3)};
};

TEST_F(Step, ScaledLossScalesGradientsAndNothingElse) {
  const StepResult plain = take(1);
  std::vector<std::vector<float>> gradients;
  for (const Tensor& g : buckets_.gradients()) gradients.push_back(to_vector(g));
  constexpr float kScale = 65536;  // a power of two changes no digit
  const StepResult scaled = take(kScale);
  ASSERT_EQ(plain.totals.size(), 2U);
  for (std::size_t i = 0; i < plain.totals.size(); ++i) {
    EXPECT_EQ(scaled.totals[i].sum, plain.totals[i].sum);
    EXPECT_EQ(scaled.totals[i].correct, plain.totals[i].correct);
    EXPECT_EQ(scaled.totals[i].count, plain.totals[i].count);
  }
  EXPECT_GT(plain.grad_norm, 0.01);
  EXPECT_EQ(scaled.grad_norm, plain.grad_norm);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const std::vector<float> g = to_vector(buckets_.gradients()[i]);
    for (std::size_t k = 0; k < g.size(); ++k) {
      ASSERT_EQ(g[k], kScale * gradients[i][k]) << parameters(*model_)[i].name << " " << k;
    }
  }
}

TEST_F(Step, TooLargeAScaleIsSeenInTheNorm) {
  EXPECT_FALSE(std::isfinite(take(std::numeric_limits<double>::infinity()).grad_norm));
}

TEST_F(Step, MemoryIsCountedByItsUse) {
  const Optimizer optimizer(parameters(*model_), {});
  take(1);
  const CachingAllocator& memory = caching_allocator(test_device());
  const BytesByUse now = memory.bytes_by_use(), peaks = memory.peaks_by_use();
  EXPECT_EQ(std::accumulate(now.begin(), now.end(), std::size_t{0}), memory.stats().in_use);

  std::size_t bytes = 0, tensors = 0;
  for (const NamedParameter& p : parameters(*model_)) {
    bytes += p.parameter->var.value().bytes();
    ++tensors;
  }
  // Up to what the allocator rounds up to.
  const auto is_near = [&](MemoryUse use, std::size_t copies) {
    const std::size_t counted = now[static_cast<std::size_t>(use)];
    EXPECT_GE(counted, copies * bytes) << kMemoryUseNames[static_cast<std::size_t>(use)];
    EXPECT_LE(counted, copies * (bytes * 9 / 8 + 64 * tensors))
        << kMemoryUseNames[static_cast<std::size_t>(use)];
  };
  is_near(MemoryUse::weights, 1);
  is_near(MemoryUse::gradients, 1);
  is_near(MemoryUse::optimizer, 2);
  EXPECT_GT(peaks[static_cast<std::size_t>(MemoryUse::activations)], 0U);
}

TEST_F(Step, CountsWhatTheBatchesHold) {
  const StepResult result = take(1);
  EXPECT_EQ(result.totals[0].name, "mlm");
  EXPECT_EQ(result.totals[0].count, 12);
  EXPECT_EQ(result.totals[1].name, "nsp");
  EXPECT_EQ(result.totals[1].count, 6);
}

}  // namespace
}  // namespace weft
