// One training step.
#include "launch/training/step.hpp"

#include <algorithm>

#include "core/autograd/backward.hpp"
#include "core/ops/elementwise.hpp"

namespace weft {

namespace {

float value_of(const Tensor& scalar) { return scalar.data<float>()[0]; }

std::int64_t token_count(const Batch& batch) {
  if (!batch.key_mask_BT) return batch.ids_BT.numel();
  const std::uint8_t* mask = batch.key_mask_BT.data<std::uint8_t>();
  return std::count(mask, mask + batch.key_mask_BT.numel(), std::uint8_t{1});
}

void add_totals(std::vector<TermTotal>& totals, const std::vector<LossTerm>& terms) {
  if (totals.empty()) {
    for (const LossTerm& term : terms) totals.push_back({.name = term.name});
  }
  for (std::size_t i = 0; i < terms.size(); ++i) {
    totals[i].sum += value_of(terms[i].sum.value());
    totals[i].correct += value_of(terms[i].correct);
    totals[i].count += terms[i].count;
  }
}

// The micro-batch's share of the mean loss over the global batch.
Var weighted_loss(const std::vector<LossTerm>& terms, const std::vector<std::int64_t>& counts) {
  Var loss;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (counts[i] == 0) continue;
    const Var part = scale(terms[i].sum, 1.0F / static_cast<float>(counts[i]));
    loss = loss.value() ? loss + part : part;
  }
  return loss;
}

}  // namespace

StepFacts agree_on_step(const PretrainingModel& model, const std::vector<Batch>& batches, bool stop,
                        Mesh& mesh) {
  std::vector<std::int64_t> numbers = {stop ? 1 : 0, 0};
  for (const Batch& batch : batches) {
    const std::vector<LossTerm> terms = model.counts(batch);
    numbers.resize(2 + terms.size());
    numbers[1] += token_count(batch);
    for (std::size_t i = 0; i < terms.size(); ++i) numbers[2 + i] += terms[i].count;
  }
  mesh.world().all_reduce(numbers, ReduceOp::sum);
  const std::int64_t copies = mesh.tensor().size();  // tensor ranks have the same batches
  StepFacts facts{.counts = {}, .tokens = numbers[1] / copies, .stop = numbers[0] != 0};
  for (std::size_t i = 2; i < numbers.size(); ++i) facts.counts.push_back(numbers[i] / copies);
  return facts;
}

std::vector<TermTotal> accumulate_gradients(const PretrainingModel& model,
                                            const std::vector<Batch>& batches,
                                            const StepFacts& facts, const StepOptions& options,
                                            GradientBuckets& buckets) {
  std::vector<TermTotal> totals;
  buckets.zero();
  for (std::size_t i = 0; i < batches.size(); ++i) {
    Pass pass{.training = true,
              .recompute = options.recompute,
              .seed = options.seed,
              .step = static_cast<std::uint32_t>(options.step),
              .first_sample = batches[i].first_sample};
    const std::vector<LossTerm> terms = model.losses(batches[i], pass);
    add_totals(totals, terms);
    const bool last = i + 1 == batches.size();
    backward(weighted_loss(terms, facts.counts), {}, buckets.hook(last));
  }
  buckets.finish();
  return totals;
}

void add_evaluation(const PretrainingModel& model, const std::vector<Batch>& batches,
                    std::vector<TermTotal>& totals) {
  const NoGrad no_grad;
  for (const Batch& batch : batches) {
    Pass pass{.training = false, .first_sample = batch.first_sample};
    add_totals(totals, model.losses(batch, pass));
  }
}

void reduce_totals(std::vector<TermTotal>& totals, Mesh& mesh) {
  if (mesh.data().size() == 1) return;
  for (TermTotal& t : totals) {
    t.sum = mesh.data().all_reduce(t.sum, ReduceOp::sum);
    t.correct = mesh.data().all_reduce(t.correct, ReduceOp::sum);
    t.count = mesh.data().all_reduce(t.count, ReduceOp::sum);
  }
}

double total_loss(const std::vector<TermTotal>& totals) {
  double loss = 0;
  for (const TermTotal& t : totals) loss += t.mean();
  return loss;
}

}  // namespace weft
