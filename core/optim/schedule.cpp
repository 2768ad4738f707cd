// Learning rate schedules.
#include "core/optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace weft {

namespace {

// (step - first) / (last - first), held within [0, 1].
double progress(double step, double first, double last) {
  if (step >= last) return 1;
  return step <= first ? 0 : (step - first) / (last - first);
}

}  // namespace

double Schedule::lr(std::int64_t step) const {
  const auto s = static_cast<double>(step);
  const auto w = static_cast<double>(warmup_steps);
  const auto d = static_cast<double>(decay_steps);
  if (step < warmup_steps) return peak * (s + 1) / (w + 1);

  const double t = progress(s, w, d);
  double factor = 1;
  switch (type) {
    case ScheduleType::constant:
      return peak;
    case ScheduleType::linear:
      factor = 1 - t;
      break;
    case ScheduleType::polynomial:
      factor = std::pow(1 - t, power);
      break;
    case ScheduleType::cosine:
      factor = 0.5 * (1 + std::cos(std::numbers::pi * t));
      break;
    case ScheduleType::wsd:
      factor = 1 - progress(s, std::max(w, d * (1 - decay_fraction)), d);
      break;
  }
  return min_lr + (peak - min_lr) * factor;
}

}  // namespace weft
