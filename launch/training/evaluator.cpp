// Evaluation on held-out samples.
#include "launch/training/evaluator.hpp"

#include <chrono>

namespace weft {

std::optional<Evaluation> evaluate(const PretrainingModel& model, const Dataset& dataset,
                                   const LoaderOptions& options, std::int64_t batches, Mesh& mesh,
                                   const std::function<bool()>& stop) {
  const auto start = std::chrono::steady_clock::now();
  Evaluation result;
  Loader loader(dataset, options);
  for (std::int64_t i = 0; i < batches; ++i) {
    if (stop()) return std::nullopt;
    add_evaluation(model, loader.next(), mesh.device(), result.terms);
  }
  reduce_totals(result.terms, mesh);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace weft
