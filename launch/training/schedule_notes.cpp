// Notes about the learning rate.
#include "launch/training/schedule_notes.hpp"

#include <fmt/format.h>

#include "core/base/plural.hpp"
#include "launch/config/compare.hpp"

namespace weft {

void tell_schedule(const Config& config, const Json& stored, const Console& console) {
  constexpr const char* kEnd = "schedule.decay_steps";
  const auto& s = config.schedule;
  const std::int64_t steps = config.train.steps;
  if (s.warmup_steps > steps) {
    console.info(
        fmt::format("note: the warm-up of {} (schedule.warmup_steps) does not end within "
                    "train.steps: {}: "
                    "the learning rate stays below {}",
                    counted(s.warmup_steps, "step"), steps, config.optimizer.lr));
  }
  if (s.type == ScheduleType::constant) return;
  const Json before = stored_value(stored, kEnd).value_or(s.decay_steps);
  if (config.derived(kEnd) && before != s.decay_steps) {
    console.info(fmt::format("note: the learning rate now decays to step {} instead of {}",
                             s.decay_steps, before.dump()));
  }
  if (steps > s.decay_steps && s.min_lr == 0) {
    console.warn(fmt::format(
        "{}: {} ends before train.steps: {}: the learning rate of the last {} is 0",
        config.named(kEnd), s.decay_steps, steps, counted(steps - s.decay_steps, "step")));
  }
}

}  // namespace weft
