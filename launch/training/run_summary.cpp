// What a run will do, in a few lines.
#include "launch/training/run_summary.hpp"

#include <fmt/format.h>
#include <omp.h>

#include "core/backend/cuda.hpp"
#include "core/base/plural.hpp"
#include "launch/config/values.hpp"
#include "launch/console.hpp"
#include "launch/process.hpp"

namespace weft {

namespace {

// With thin separators: 11,170,560.
std::string grouped(std::int64_t n) {
  std::string s = std::to_string(n);
  for (std::ptrdiff_t i = static_cast<std::ptrdiff_t>(s.size()) - 3; i > 0; i -= 3) {
    s.insert(static_cast<std::size_t>(i), ",");
  }
  return s;
}

std::string precision_name(DType t) {
  return t == DType::f32 ? "fp32" : t == DType::bf16 ? "bf16" : "fp16";
}

std::string layout_line(const Config& config, Mesh& mesh) {
  const int ranks = mesh.world().size();
  std::string s = counted(ranks, "rank");
  if (ranks > 1)
    s += fmt::format(" (data {} x tensor {})", mesh.data().size(), mesh.tensor().size());
  s += ", " + counted(omp_get_max_threads(), "thread") + " each";
  if (mesh.device().type == DeviceType::cuda) {
    const auto gpu = cuda_report().gpus.at(static_cast<std::size_t>(mesh.device().index));
    s += ", on " + gpu.name;
  }
  const std::int64_t micro_batches =
      config.train.global_batch / (config.train.micro_batch * mesh.data().size());
  return s + fmt::format("; {} micro-batch{} of {} per step", micro_batches,
                         micro_batches == 1 ? "" : "es", config.train.micro_batch);
}

}  // namespace

std::string run_summary(const Config& config, PretrainingModel& model, const Dataset& train,
                        Mesh& mesh) {
  std::int64_t whole = 0;
  std::int64_t local = 0;
  for (const NamedParameter& p : parameters(model)) {
    whole += p.parameter->full.numel();
    local += p.parameter->var.value().numel();
  }
  // fp32: weights, gradients and two moments; 16-bit weights have fp32 masters besides.
  const double bytes_of_each = config.train.precision == DType::f32 ? 16 : 18;
  const double bytes = static_cast<double>(local) * bytes_of_each;
  const double samples =
      static_cast<double>(config.train.steps) * static_cast<double>(config.train.global_batch);
  const double epochs = samples / static_cast<double>(train.samples_per_epoch());
  return fmt::format(
      "model    {} with {} parameters, {} ({:.2f} GB of weights, gradients and moments per rank, "
      "activations come on top)\n"
      "data     {} documents, {} tokens, {} samples per epoch of up to {} tokens\n"
      "training {} steps of {} samples = {:.2f} epochs, up to {} tokens\n"
      "layout   {}",
      config.model.keys["model_type"].get<std::string>(), grouped(whole),
      precision_name(config.train.precision), bytes * 1e-9, grouped(train.documents()),
      grouped(train.tokens()), grouped(static_cast<std::int64_t>(train.samples_per_epoch())),
      config.data.seq_length, grouped(config.train.steps), config.train.global_batch, epochs,
      short_number(samples * static_cast<double>(config.data.seq_length)),
      layout_line(config, mesh));
}

}  // namespace weft
