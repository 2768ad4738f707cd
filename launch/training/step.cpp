// One training step.
#include "launch/training/step.hpp"

#include <algorithm>
#include <utility>

#include "core/autograd/backward.hpp"
#include "core/backend/range.hpp"
#include "core/backend/transfer.hpp"
#include "core/ops/elementwise.hpp"
#include "parallel/grad_norm.hpp"

namespace weft {

namespace {

float value_of(const Tensor& scalar) { return scalar.data<float>()[0]; }

std::int64_t token_count(const Batch& batch) {
  if (!batch.key_mask_BT) return batch.ids_BT.numel();
  const std::uint8_t* mask = batch.key_mask_BT.data<std::uint8_t>();
  return std::count(mask, mask + batch.key_mask_BT.numel(), std::uint8_t{1});
}

// The sums of some batches, which stay on the device until the host reads them all at once.
class PendingTotals {
 public:
  // To be added to `before`.
  explicit PendingTotals(std::vector<TermTotal> before) : totals_(std::move(before)) {}

  void add(const std::vector<LossTerm>& terms) {
    if (totals_.empty()) {
      for (const LossTerm& term : terms) totals_.push_back({.name = term.name});
    }
    for (std::size_t i = 0; i < terms.size(); ++i) {
      totals_[i].count += terms[i].count;
      scalars_.push_back(terms[i].sum.value());
      scalars_.push_back(terms[i].correct);
    }
  }

  // Brings `also`, a tensor of the same device, to the host in the same moment.
  std::vector<TermTotal> read(Tensor& also) {
    std::vector<Tensor> all = scalars_;
    all.push_back(also);
    all = to_host(all);
    also = all.back();
    for (std::size_t k = 0; k < scalars_.size(); k += 2) {
      TermTotal& total = totals_[k / 2 % totals_.size()];
      total.sum += value_of(all[k]);
      total.correct += value_of(all[k + 1]);
    }
    return totals_;
  }
  std::vector<TermTotal> read() {
    Tensor nothing;
    return read(nothing);
  }

 private:
  std::vector<TermTotal> totals_;
  std::vector<Tensor> scalars_;  // of each batch and each term the sum and the right ones
};

// The micro-batch's share of the mean loss over the global batch, times `factor`.
Var weighted_loss(const std::vector<LossTerm>& terms, const std::vector<std::int64_t>& counts,
                  double factor) {
  Var loss;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (counts[i] == 0) continue;
    const Var part =
        scale(terms[i].sum, static_cast<float>(factor) / static_cast<float>(counts[i]));
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

StepResult accumulate_gradients(const PretrainingModel& model, const std::vector<Batch>& batches,
                                const StepFacts& facts, const StepOptions& options,
                                GradientBuckets& buckets, Mesh& mesh) {
  PendingTotals pending({});
  buckets.zero();
  for (std::size_t i = 0; i < batches.size(); ++i) {
    Pass pass{.training = true,
              .recompute = options.recompute,
              .seed = options.seed,
              .step = static_cast<std::uint32_t>(options.step),
              .first_sample = batches[i].first_sample};
    std::vector<LossTerm> terms;
    {
      const Range range("forward");
      terms = model.losses(to_device(batches[i], mesh.device()), pass);
    }
    pending.add(terms);
    const bool last = i + 1 == batches.size();
    const Range range("backward");
    backward(weighted_loss(terms, facts.counts, options.loss_scale), {}, buckets.hook(last));
  }
  buckets.finish();

  StepResult result;
  Tensor squares = squared_norms_on_device(buckets.gradients());
  result.totals = pending.read(squares);  // the one moment of a step when the host waits
  mesh.world().rethrow_failure();         // of a sum: what was read may be half of it
  const auto* first = squares.data<double>();
  const double norm =
      global_grad_norm({first, buckets.gradients().size()}, buckets.parameters(), mesh);
  result.grad_norm = norm / options.loss_scale;
  return result;
}

void add_evaluation(const PretrainingModel& model, const std::vector<Batch>& batches, Device device,
                    std::vector<TermTotal>& totals) {
  const NoGrad no_grad;
  PendingTotals pending(std::move(totals));
  for (const Batch& batch : batches) {
    Pass pass{.training = false, .first_sample = batch.first_sample};
    pending.add(model.losses(to_device(batch, device), pass));
  }
  totals = pending.read();
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
