// Learning rates worked out by hand.
#include "core/optim/schedule.hpp"

#include <gtest/gtest.h>

#include "core/optim/clip.hpp"

namespace weft {
namespace {

struct Expected {
  std::int64_t step;
  double lr;
};

void expect_table(const Schedule& schedule, const std::vector<Expected>& table) {
  for (const Expected& e : table)
    EXPECT_NEAR(schedule.lr(e.step), e.lr, 1e-12) << "step " << e.step;
}

TEST(Schedule, Constant) {
  expect_table({.type = ScheduleType::constant, .peak = 2, .warmup_steps = 3, .decay_steps = 10},
               {{0, 0.5}, {1, 1}, {2, 1.5}, {3, 2}, {10, 2}, {1000, 2}});
}

TEST(Schedule, Linear) {
  expect_table({.type = ScheduleType::linear, .peak = 1, .warmup_steps = 4, .decay_steps = 14},
               {{0, 0.2}, {3, 0.8}, {4, 1}, {5, 0.9}, {9, 0.5}, {13, 0.1}, {14, 0}, {20, 0}});
}

TEST(Schedule, LinearToAFloor) {
  expect_table({.type = ScheduleType::linear, .peak = 1, .min_lr = 0.2, .decay_steps = 8},
               {{0, 1}, {2, 0.8}, {4, 0.6}, {8, 0.2}, {9, 0.2}});
}

TEST(Schedule, Polynomial) {
  expect_table({.type = ScheduleType::polynomial,
                .peak = 8,
                .warmup_steps = 1,
                .decay_steps = 5,
                .power = 2},
               {{0, 4}, {1, 8}, {2, 4.5}, {3, 2}, {4, 0.5}, {5, 0}});
  expect_table({.type = ScheduleType::polynomial, .peak = 4, .decay_steps = 16, .power = 0.5},
               {{0, 4}, {7, 3}, {12, 2}, {15, 1}, {16, 0}});
}

TEST(Schedule, Cosine) {
  // cos(pi / 3) = 1/2, cos(pi / 2) = 0, cos(2 pi / 3) = -1/2
  expect_table(
      {.type = ScheduleType::cosine, .peak = 1, .min_lr = 0.2, .warmup_steps = 1, .decay_steps = 7},
      {{0, 0.5}, {1, 1}, {3, 0.8}, {4, 0.6}, {5, 0.4}, {7, 0.2}, {100, 0.2}});
}

TEST(Schedule, WarmupStableDecay) {
  expect_table({.type = ScheduleType::wsd,
                .peak = 1,
                .warmup_steps = 1,
                .decay_steps = 20,
                .decay_fraction = 0.25},
               {{0, 0.5}, {1, 1}, {15, 1}, {16, 0.8}, {17, 0.6}, {19, 0.2}, {20, 0}, {21, 0}});
}

TEST(Schedule, WarmupMayFillTheWholeRun) {
  for (const ScheduleType type :
       {ScheduleType::linear, ScheduleType::polynomial, ScheduleType::cosine, ScheduleType::wsd}) {
    expect_table({.type = type, .peak = 1, .warmup_steps = 4, .decay_steps = 4},
                 {{0, 0.2}, {3, 0.8}, {4, 0}, {5, 0}});
  }
}

TEST(ClipScale, BringsANormDownToItsLimit) {
  EXPECT_EQ(clip_scale(4, 1), 0.25);
  EXPECT_EQ(clip_scale(0.5, 1), 1);
  EXPECT_EQ(clip_scale(1, 1), 1);
  EXPECT_EQ(clip_scale(0, 1), 1);
  EXPECT_EQ(clip_scale(1000, 0), 1);  // off
}

}  // namespace
}  // namespace weft
