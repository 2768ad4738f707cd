// Learning rate schedules: linear warm-up, then one of several decays.
#pragma once

#include <cstdint>

namespace weft {

enum class ScheduleType { constant, linear, polynomial, cosine, wsd };

// A pure function of the step. With s finished steps, w warm-up steps and the decay ending at step
// d, the rate of the next update is
//   s < w:      peak (s + 1) / (w + 1): never 0, as that would waste a step
//   s >= w:     min_lr + (peak - min_lr) f(t), t = (s - w) / (d - w) in [0, 1]
//     linear      f = 1 - t
//     polynomial  f = (1 - t)^power
//     cosine      f = (1 + cos(pi t)) / 2           (Loshchilov and Hutter, "SGDR", ICLR 2017)
//     wsd         f = 1 (stable) until the last decay_fraction of the d steps, then linearly to 0
//                 (Hu et al., "MiniCPM", 2024)
//   constant:   peak after the warm-up, whatever d.
struct Schedule {
  ScheduleType type = ScheduleType::linear;
  double peak = 0;
  double min_lr = 0;
  std::int64_t warmup_steps = 0;
  std::int64_t decay_steps = 0;  // the step at which the decay ends
  double power = 1;              // of polynomial
  double decay_fraction = 0.1;   // of wsd

  double lr(std::int64_t step) const;
};

}  // namespace weft
