// BERT with dropout on every layout of the mesh: the loss and every gradient of one rank.
#include <gtest/gtest.h>

#include "core/ops/elementwise.hpp"
#include "models/bert/pretraining.hpp"
#include "parallel/data_parallel.hpp"
#include "parallel/grad_norm.hpp"
#include "tests/parallel/parallel_helpers.hpp"

namespace weft {
namespace {

constexpr std::int64_t kSamples = 8, kTokens = 10, kMasked = 3;  // of the global batch

BertConfig config() {
  BertConfig c;
  c.vocab_size = 37;  // does not divide: padded
  c.hidden_size = 24;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.intermediate_size = 40;
  c.max_position_embeddings = 16;
  c.hidden_dropout_prob = 0.1F;
  c.attention_probs_dropout_prob = 0.2F;
  return c;
}

// Numbers without a pattern, a function of the sample and what they are for.
std::int32_t number(std::int64_t sample, std::uint32_t purpose, std::int64_t i,
                    std::int64_t below) {
  const PhiloxKey key{.seed = 9, .step = static_cast<std::uint32_t>(sample), .place = purpose};
  const std::uint32_t bits = philox_u32(key, static_cast<std::uint64_t>(i));
  return static_cast<std::int32_t>(bits % static_cast<std::uint32_t>(below));
}

// Samples [first, first + count) of the global batch, on the host; odd samples end in two padded
// places.
Batch batch_of(std::int64_t first, std::int64_t count) {
  Batch b{.first_sample = first,
          .ids_BT = Tensor({count, kTokens}, DType::i32),
          .type_ids_BT = Tensor({count, kTokens}, DType::i32),
          .key_mask_BT = Tensor({count, kTokens}, DType::u8),
          .masked_places_N = Tensor({count * kMasked}, DType::i32),
          .masked_targets_N = Tensor({count * kMasked}, DType::i32),
          .sentence_labels_B = Tensor({count}, DType::i32)};
  for (std::int64_t s = 0; s < count; ++s) {
    const std::int64_t length = (first + s) % 2 ? kTokens - 2 : kTokens;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const std::int64_t i = s * kTokens + t;
      b.ids_BT.data<std::int32_t>()[i] = number(first + s, 0, t, config().vocab_size);
      b.type_ids_BT.data<std::int32_t>()[i] = t < 5 ? 0 : 1;
      b.key_mask_BT.data<std::uint8_t>()[i] = t < length;
    }
    for (std::int64_t m = 0; m < kMasked; ++m) {
      const std::int64_t i = s * kMasked + m;
      b.masked_places_N.data<std::int32_t>()[i] =
          static_cast<std::int32_t>(s * kTokens + 2 * m + 1);
      b.masked_targets_N.data<std::int32_t>()[i] = number(first + s, 1, m, config().vocab_size);
    }
    b.sentence_labels_B.data<std::int32_t>()[s] = number(first + s, 2, 0, 2);
  }
  return b;
}

// The mean losses' sum, each term divided by its count over the global batch.
Var loss_of(const Bert& model, const Batch& batch, bool recompute) {
  Pass pass{.training = true,
            .recompute = recompute,
            .seed = 1234,
            .step = 7,
            .first_sample = batch.first_sample};
  const std::vector<LossTerm> terms = model.losses(batch, pass);
  return scale(terms[0].sum, 1.0F / (kSamples * kMasked)) + scale(terms[1].sum, 1.0F / kSamples);
}

struct Step {
  double loss = 0;
  std::vector<Tensor> gradients;
  double norm = 0;
};

Step step(Bert& model, Mesh& mesh, std::int64_t micro_batches, bool recompute) {
  GradientBuckets buckets(parameters(model), mesh, {.bucket_bytes = 4000});
  const std::int64_t share = kSamples / mesh.data().size();
  const std::int64_t size = share / micro_batches;
  double loss = 0;
  buckets.zero();
  for (std::int64_t m = 0; m < micro_batches; ++m) {
    const Batch batch =
        to_device(batch_of(mesh.data().rank() * share + m * size, size), mesh.device());
    const Var root = loss_of(model, batch, recompute);
    loss += double{to_vector(root.value())[0]};
    backward(root, {}, buckets.hook(m + 1 == micro_batches));
  }
  buckets.finish();
  return {.loss = mesh.data().all_reduce(loss, ReduceOp::sum),
          .gradients = buckets.gradients(),
          .norm = global_grad_norm(buckets, parameters(model), mesh)};
}

TEST(BertLayouts, LossAndEveryGradientEqualThoseOfOneRank) {
  Mesh alone = Mesh::single(test_device());
  Bert whole(config(), alone, DType::f32);
  fill_parameters(whole, alone.tensor(), 0.2F);
  const Step want = step(whole, alone, 1, false);
  const std::vector<NamedParameter> full = parameters(whole);

  const int ranks = mpi_communicator()->size();
  for (int t = 1; t <= ranks; t *= 2) {
    Mesh mesh(test_world(), t, test_device());
    Bert model(config(), mesh, DType::f32);
    fill_parameters(model, mesh.tensor(), 0.2F);
    const std::vector<NamedParameter> mine = parameters(model);
    for (const std::int64_t micro_batches : {1, 2}) {
      for (const bool recompute : {false, true}) {
        SCOPED_TRACE("tensor " + std::to_string(t) + " of " + std::to_string(ranks) +
                     ", micro-batches " + std::to_string(micro_batches) +
                     (recompute ? ", recompute" : ""));
        const Step got = step(model, mesh, micro_batches, recompute);
        EXPECT_NEAR(got.loss, want.loss, 1e-6 * want.loss);
        EXPECT_NEAR(got.norm, want.norm, 1e-5 * want.norm);
        for (std::size_t i = 0; i < mine.size(); ++i) {
          const Tensor part = part_of(want.gradients[i], *full[i].parameter, mesh.tensor());
          EXPECT_TRUE(close(got.gradients[i], part, 2e-5)) << mine[i].name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace weft
