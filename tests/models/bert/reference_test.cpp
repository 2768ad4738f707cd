// A small random BERT against `transformers` (make_reference.py): outputs, loss, every gradient,
// ten AdamW steps.
#include <cmath>

#include <gtest/gtest.h>

#include "core/autograd/backward.hpp"
#include "core/io/safetensors.hpp"
#include "core/ops/elementwise.hpp"
#include "core/optim/clip.hpp"
#include "core/optim/optimizer.hpp"
#include "models/hf_state.hpp"
#include "models/load.hpp"
#include "parallel/data_parallel.hpp"
#include "parallel/grad_norm.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

const std::filesystem::path kDirectory =
    std::filesystem::path(WEFT_TEST_DIR) / "data/bert_reference";

class BertReference : public testing::Test {
 protected:
  Tensor reference(const std::string& name) const { return file_.read(file_.at(name)); }

  // The padded batch of the fixture.
  Batch batch() const {
    Batch b{.ids_BT = reference("input.ids"), .type_ids_BT = reference("input.types")};
    b.key_mask_BT = to_dtype(reference("input.mask"), DType::u8);
    b.sentence_labels_B = reference("input.sentence");
    const std::vector<float> labels = to_vector(reference("input.labels"));
    std::vector<float> places;
    std::vector<float> targets;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] < 0) continue;
      places.push_back(static_cast<float>(i));
      targets.push_back(labels[i]);
    }
    const Shape shape{static_cast<std::int64_t>(places.size())};
    b.masked_places_N = to_tensor(places, shape, DType::i32);
    b.masked_targets_N = to_tensor(targets, shape, DType::i32);
    return to_device(b, test_device());
  }

  // MLM mean + NSP mean, as BertForPreTraining.
  static Var loss(const PretrainingModel& model, const Batch& b, bool recompute = false) {
    Pass pass{.training = true, .recompute = recompute};
    const std::vector<LossTerm> terms = model.losses(b, pass);
    EXPECT_EQ(terms.size(), 2U);
    return scale(terms[0].sum, 1.0F / static_cast<float>(b.masked_places_N.numel())) +
           scale(terms[1].sum, 1.0F / static_cast<float>(b.size()));
  }

  // Each Hugging Face tensor of each parameter against `prefix` + its name, with `values` in the
  // parameters' places.
  void expect_equal(PretrainingModel& model, const std::vector<Tensor>& values,
                    const std::string& prefix, double tolerance) const {
    for (const StateTensor& t : hf_state(model, values)) {
      const std::int64_t row = t.full.numel() / t.full[0];
      const Tensor part = t.local.slice_flat(t.first * row, t.shape);
      EXPECT_TRUE(close(part, reference(prefix + t.name), tolerance, tolerance))
          << prefix << t.name;
    }
  }

  static std::vector<Tensor> values(PretrainingModel& model) {
    std::vector<Tensor> list;
    for (const NamedParameter& p : parameters(model)) list.push_back(p.parameter->var.value());
    return list;
  }

  SafetensorsFile file_{kDirectory / "reference.safetensors"};
  ModelDirectory loaded_ = load_model(kDirectory, {DType::f32, test_device()});
};

TEST_F(BertReference, OutputsEqualOnAPaddedBatch) {
  const std::vector<Output> outputs = loaded_.model->outputs(batch(), true);
  ASSERT_EQ(outputs.size(), 3U + 4U);
  const Tensor mask = batch().key_mask_BT;
  for (const Output& out : outputs) {
    const std::string name = out.name == "last_hidden_state" ? "hidden_states.2" : out.name;
    const Tensor expected = reference(name);
    ASSERT_EQ(out.value.shape().str(), expected.shape().str()) << name;
    EXPECT_TRUE(close(out.value, expected, 1e-5, 1e-5)) << name;
  }
}

TEST_F(BertReference, LossAndEveryGradientEqual) {
  for (const bool recompute : {false, true}) {
    const Var total = loss(*loaded_.model, batch(), recompute);
    EXPECT_NEAR(to_vector(total.value())[0], to_vector(reference("loss"))[0], 1e-5);
    const GradMap grads = backward(total);
    std::vector<Tensor> list;
    for (const NamedParameter& p : parameters(*loaded_.model)) {
      list.push_back(grads[p.parameter->var]);
      ASSERT_TRUE(list.back()) << p.name;
    }
    expect_equal(*loaded_.model, list, "grad.", 2e-5);
  }
}

TEST_F(BertReference, TenAdamwStepsEqual) {
  PretrainingModel& model = *loaded_.model;
  Optimizer optimizer(parameters(model), {.type = OptimizerType::adamw,
                                          .beta1 = 0.9,
                                          .beta2 = 0.999,
                                          .eps = 1e-6,
                                          .weight_decay = 0.01,
                                          .bias_correction = true});
  GradientBuckets buckets(parameters(model), *loaded_.mesh);
  const std::vector<float> losses = to_vector(reference("steps.losses"));
  const std::vector<float> norms = to_vector(reference("steps.grad_norms"));
  ASSERT_EQ(losses.size(), 10U);
  for (std::size_t step = 0; step < losses.size(); ++step) {
    buckets.zero();
    const Var total = loss(model, batch());
    EXPECT_NEAR(to_vector(total.value())[0], losses[step], 2e-4) << "step " << step;
    backward(total, {}, buckets.hook(true));
    buckets.finish();
    const double norm = global_grad_norm(buckets, parameters(model), *loaded_.mesh);
    EXPECT_NEAR(norm, norms[step], 1e-3 * norm) << "step " << step;
    optimizer.step(buckets.gradients(), {.lr = 2e-3,
                                         .grad_scale = clip_scale(norm, 1.0),
                                         .update = static_cast<std::int64_t>(step) + 1});
  }
  expect_equal(model, values(model), "final.", 5e-4);
}

}  // namespace
}  // namespace weft
