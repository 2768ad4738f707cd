// How fast each kernel does the products of a pretraining run's step.
#include "launch/doctor/products.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "core/backend/cpu_peaks.hpp"
#include "core/data/masking.hpp"
#include "launch/training/step.hpp"
#include "models/registry.hpp"

namespace weft {

namespace {

constexpr int kRounds = 3;  // moments at which a product is measured: disturbances come in bursts
constexpr double kSecondsOfRound = 0.03;
// Of the work of all products; a class with less is left to the rule, for its time is noise.
constexpr double kLeastShare = 1e-3;

double work_of(const ProductCall& call) {
  const ProductShape& s = call.shape;
  return 2 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
}

// Words without padding, and as many of them masked as the objective wants.
Batch random_batch(const Config& config) {
  const std::int64_t B = config.train.micro_batch, T = config.data.seq_length;
  std::mt19937_64 random(config.run.seed);
  const auto whole = [&](const Shape& shape, std::int64_t below) {
    Tensor x(shape, DType::i32);
    std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(below) - 1);
    std::generate_n(x.data<std::int32_t>(), x.numel(), [&] { return any(random); });
    return x;
  };
  const auto vocabulary = config.model.keys.at("vocab_size").get<std::int64_t>();
  const std::int64_t masked = B * prediction_count(config.objective, T);
  Batch batch{.ids_BT = whole({B, T}, vocabulary),
              .type_ids_BT = whole({B, T}, 1),
              .masked_places_N = Tensor({masked}, DType::i32),
              .masked_targets_N = whole({masked}, vocabulary)};
  std::vector<std::int32_t> places(static_cast<std::size_t>(B * T));
  std::iota(places.begin(), places.end(), 0);
  std::sample(places.begin(), places.end(), batch.masked_places_N.data<std::int32_t>(), masked,
              random);
  if (config.objective.sentence != SentenceTask::none) batch.sentence_labels_B = whole({B}, 2);
  return batch;
}

std::vector<ProductCall> calls_of_step(const Config& config, Mesh& mesh) {
  const auto model = make_model(config.model.keys, mesh, config.train.precision, config.run.seed);
  GradientBuckets buckets(parameters(*model), mesh);
  TrainingStep step(
      *model, buckets, mesh,
      {.seed = config.run.seed, .recompute = config.train.recompute == Recompute::full});
  const std::vector<Batch> batches = {random_batch(config)};
  const StepFacts facts = agree_on_step(*model, batches, false, mesh);
  const ProductRecording recording;
  step.take(batches, facts, 0);
  return recording.calls();
}

std::vector<MeasuredProduct> by_class(const std::vector<ProductCall>& calls) {
  std::vector<MeasuredProduct> products;
  double all_work = 0;
  for (const ProductCall& call : calls) {
    const ProductClass product = class_of(call);
    all_work += work_of(call);
    auto it = std::find_if(products.begin(), products.end(),
                           [&](const auto& p) { return class_of(p.call) == product; });
    if (it == products.end()) it = products.insert(it, {.call = call, .times = {}});
    ++it->calls;
    if (work_of(call) > work_of(it->call)) it->call = call;
  }
  std::erase_if(products, [&](const MeasuredProduct& p) {
    return product_kernels(class_of(p.call)).size() == 1 ||
           p.calls * work_of(p.call) < kLeastShare * all_work;
  });
  return products;
}

void add_round(MeasuredProduct& product, const ProductTiming& timing) {
  std::vector<KernelTimes> times = time_product(product.call, timing);
  if (product.times.empty()) {
    product.times = std::move(times);
    return;
  }
  for (std::size_t i = 0; i < times.size(); ++i) {
    std::vector<double>& all = product.times[i].seconds;
    all.insert(all.end(), times[i].seconds.begin(), times[i].seconds.end());
  }
}

}  // namespace

std::vector<MeasuredProduct> measure_products(const Config& config, Mesh& mesh,
                                              const Console& console) {
  set_product_table({});
  std::vector<MeasuredProduct> products = by_class(calls_of_step(config, mesh));
  const ProductTiming timing{
      .seconds = kSecondsOfRound,
      .weight_uses = config.train.global_batch / (config.train.micro_batch * mesh.data().size())};
  // Parts of a vocabulary can differ in size, so that one is worth measuring and another is not.
  const auto most = static_cast<std::size_t>(
      mesh.world().all_reduce(static_cast<std::int64_t>(products.size()), ReduceOp::max));
  Progress progress(console, "products", static_cast<double>(kRounds * most), "measurements");
  double done = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < most; ++i) {
      mesh.world().barrier();
      if (i < products.size()) add_round(products[i], timing);
      progress.update(++done);
    }
  }
  for (MeasuredProduct& product : products) {
    product.by_rule = product_kernel_by_rule(product.call);
    product.chosen = faster_kernel(product.times, product.by_rule);
    product.peak = cpu_peak_flops(product.call.shape.dtype);
  }
  return products;
}

ProductTable table_of(const std::vector<MeasuredProduct>& products) {
  ProductTable table;
  for (const MeasuredProduct& product : products) {
    table.emplace(class_of(product.call), product.chosen);
  }
  return table;
}

}  // namespace weft
