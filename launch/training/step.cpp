// One training step.
#include "launch/training/step.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "core/autograd/backward.hpp"
#include "core/backend/range.hpp"
#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"
#include "core/tensor/memory_use.hpp"
#include "parallel/grad_norm.hpp"

namespace weft {

namespace {

float value_of(const Tensor& scalar) { return scalar.data<float>()[0]; }

std::int64_t token_count(const Batch& batch) {
  if (!batch.key_mask_BT) return batch.ids_BT.numel();
  const std::uint8_t* mask = batch.key_mask_BT.data<std::uint8_t>();
  return std::count(mask, mask + batch.key_mask_BT.numel(), std::uint8_t{1});
}

// Of what is read back: of each batch and each term the sum and the right ones.
void append_scalars(std::vector<Tensor>& scalars, const std::vector<LossTerm>& terms) {
  for (const LossTerm& term : terms) {
    scalars.push_back(term.sum.value());
    scalars.push_back(term.correct);
  }
}

void add_counts(std::vector<TermTotal>& totals, const std::vector<TermCount>& counts) {
  totals.resize(counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i) {
    totals[i].name = counts[i].name;
    totals[i].count += counts[i].count;
  }
}

// `scalars` as append_scalars() leaves them, on the host.
void add_sums(std::vector<TermTotal>& totals, std::span<const Tensor> scalars) {
  for (std::size_t k = 0; k + 1 < scalars.size(); k += 2) {
    TermTotal& total = totals[k / 2 % totals.size()];
    total.sum += value_of(scalars[k]);
    total.correct += value_of(scalars[k + 1]);
  }
}

// The tensors of a batch, those that are there.
std::vector<Tensor> tensors_of(const Batch& batch) {
  std::vector<Tensor> all = {batch.ids_BT,           batch.type_ids_BT,
                             batch.key_mask_BT,      batch.masked_places_N,
                             batch.masked_targets_N, batch.sentence_labels_B};
  std::erase_if(all, [](const Tensor& t) { return !t; });
  return all;
}

}  // namespace

StepFacts agree_on_step(const PretrainingModel& model, const std::vector<Batch>& batches, bool stop,
                        Mesh& mesh) {
  std::vector<std::int64_t> numbers = {stop ? 1 : 0, 0};
  for (const Batch& batch : batches) {
    const std::vector<TermCount> terms = model.counts(batch);
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

TrainingStep::TrainingStep(const PretrainingModel& model, GradientBuckets& buckets, Mesh& mesh,
                           const StepOptions& options)
    : model_(model), buckets_(buckets), mesh_(mesh), options_(options) {}

TrainingStep::Inputs TrainingStep::inputs_of(const std::vector<Batch>& batches,
                                             const StepFacts& facts, std::int64_t step,
                                             double loss_scale) {
  Inputs in{.batches = batches,
            .step = Tensor({1}, DType::i32),
            .term_weights = Tensor({static_cast<std::int64_t>(facts.counts.size())}, DType::f32)};
  *in.step.data<std::int32_t>() = static_cast<std::int32_t>(step);
  auto* const weights = in.term_weights.data<float>();
  for (std::size_t i = 0; i < facts.counts.size(); ++i) {
    const auto count = static_cast<float>(facts.counts[i]);
    weights[i] = count > 0 ? static_cast<float>(loss_scale) / count : 0;
  }
  return in;
}

TrainingStep::Inputs TrainingStep::on_device(const Inputs& host) const {
  const Device device = mesh_.device();
  Inputs in{.batches = {},
            .step = to_device(host.step, device),
            .term_weights = to_device(host.term_weights, device)};
  for (const Batch& batch : host.batches) in.batches.push_back(to_device(batch, device));
  return in;
}

// Into the memory that the graph reads.
void TrainingStep::upload(const Inputs& host) {
  std::vector<Tensor> from = {host.step, host.term_weights};
  std::vector<Tensor> to = {graph_inputs_.step, graph_inputs_.term_weights};
  const auto append = [](std::vector<Tensor>& list, const std::vector<Batch>& batches) {
    for (const Batch& batch : batches) {
      for (const Tensor& t : tensors_of(batch)) list.push_back(t);
    }
  };
  append(from, host.batches);
  append(to, graph_inputs_.batches);
  const bool alike = std::equal(from.begin(), from.end(), to.begin(), to.end(),
                                [](const Tensor& a, const Tensor& b) {
                                  return a.shape() == b.shape() && a.dtype() == b.dtype();
                                });
  if (!alike) throw Error("a training step has other shapes than the one that was captured");
  for (std::size_t i = 0; i < from.size(); ++i) backend(to[i]).upload(to[i], from[i]);
}

TrainingStep::Outputs TrainingStep::issue(const Inputs& in) {
  const MemoryScope scope(MemoryUse::activations);
  Outputs out;
  buckets_.zero();
  for (std::size_t i = 0; i < in.batches.size(); ++i) {
    Pass pass{.training = true,
              .recompute = options_.recompute,
              .seed = options_.seed,
              .first_sample = in.batches[i].first_sample,
              .step_on_device = in.step};
    std::vector<LossTerm> terms;
    {
      const Range range("forward");
      terms = model_.losses(in.batches[i], pass);
    }
    append_scalars(out.scalars, terms);
    std::vector<Root> roots;
    for (std::size_t k = 0; k < terms.size(); ++k) {
      roots.push_back({terms[k].sum, in.term_weights.narrow(static_cast<std::int64_t>(k), 1)});
    }
    terms.clear();
    const bool last = i + 1 == in.batches.size();
    const Range range("backward");
    backward(std::move(roots), buckets_.hook(last));
  }
  {
    const Range range("wait for the gradient sums");
    buckets_.finish();
  }
  const Range range("gradient norm");
  out.squared_norms = buckets_.squared_norms();
  return out;
}

StepResult TrainingStep::take(const std::vector<Batch>& batches, const StepFacts& facts,
                              std::int64_t step, double loss_scale) {
  // The first steps choose algorithms, plan attention and connect the ranks, which is no work of
  // the device; the second one may time what the first has chosen.
  constexpr int kStepsBeforeCapture = 2;
  const Inputs host = inputs_of(batches, facts, step, loss_scale);
  Outputs out;
  StepResult result;
  if (options_.device_graph && uncaptured_steps_ == kStepsBeforeCapture) {
    if (graph_) {
      upload(host);
    } else {
      graph_inputs_ = on_device(host);
      buckets_.zero();  // the gradients of the step before are no memory of the graph's
      graph_ = backend(mesh_.device()).capture([&] { graph_outputs_ = issue(graph_inputs_); });
      result.was_captured = true;
    }
    const Range range("graph");
    graph_->replay();
    mesh_.world().watch_replay();
    out = graph_outputs_;
  } else {
    out = issue(on_device(host));
    ++uncaptured_steps_;
  }

  const Range range("read the losses");
  for (const Batch& batch : batches) add_counts(result.totals, model_.counts(batch));
  out.scalars.push_back(out.squared_norms);
  const std::vector<Tensor> read = to_host(out.scalars);  // the moment when the host waits
  mesh_.world().rethrow_failure();  // of a sum: what was read may be half of it
  add_sums(result.totals, std::span(read).first(read.size() - 1));
  const std::span squares(read.back().data<double>(), buckets_.gradients().size());
  result.grad_norm = global_grad_norm(squares, buckets_.parameters(), mesh_) / loss_scale;
  return result;
}

void add_evaluation(const PretrainingModel& model, const std::vector<Batch>& batches, Device device,
                    std::vector<TermTotal>& totals) {
  const NoGrad no_grad;
  const MemoryScope scope(MemoryUse::activations);
  std::vector<Tensor> scalars;
  for (const Batch& batch : batches) {
    Pass pass{.training = false, .first_sample = batch.first_sample};
    append_scalars(scalars, model.losses(to_device(batch, device), pass));
    add_counts(totals, model.counts(batch));
  }
  add_sums(totals, to_host(scalars));
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
