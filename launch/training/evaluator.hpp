// Evaluation on held-out samples.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/data/loader.hpp"
#include "launch/training/step.hpp"

namespace weft {

struct Evaluation {
  std::vector<TermTotal> terms;
  double seconds = 0;

  double loss() const { return total_loss(terms); }
};

// The same `batches` global batches of samples each time and on every layout, dropout off. Asks
// `stop` (collective) between batches; nothing when it says so. Collective over the world.
std::optional<Evaluation> evaluate(const PretrainingModel& model, const Dataset& dataset,
                                   const LoaderOptions& options, std::int64_t batches, Mesh& mesh,
                                   const std::function<bool()>& stop);

}  // namespace weft
