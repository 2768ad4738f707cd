// The loss scaler against a table of its states, and at its floor.
#include "core/optim/loss_scaler.hpp"

#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

// Steps at which PyTorch 2.13 (torch._amp_update_scale_ with growth 2, backoff 0.5, interval 2000)
// changes a scale of 65536, when the gradients of kBad are not finite.
const std::set<int> kBad = {1, 2, 3, 10, 2013, 2014, 6014, 6016, 8100};
const std::vector<std::pair<int, double>> kChanges = {
    {1, 32768},   {2, 16384},   {3, 8192},    {10, 4096},   {2010, 8192}, {2013, 4096},
    {2014, 2048}, {4014, 4096}, {6014, 2048}, {6016, 1024}, {8016, 2048}, {8100, 1024}};

TEST(LossScaler, ChangesAsPyTorchDoes) {
  LossScaler scaler;
  std::vector<std::pair<int, double>> changes;
  for (int step = 1; step <= 10000; ++step) {
    const double before = scaler.scale;
    EXPECT_TRUE(scaler.update(!kBad.contains(step)));
    if (scaler.scale != before) changes.emplace_back(step, scaler.scale);
  }
  EXPECT_EQ(changes, kChanges);
  EXPECT_EQ(scaler.good_steps, 1900);
}

TEST(LossScaler, StateIsAllThereIs) {
  LossScaler scaler;
  for (int step = 1; step <= 3000; ++step) scaler.update(!kBad.contains(step));
  LossScaler restored{.scale = scaler.scale, .good_steps = scaler.good_steps};
  for (int step = 3001; step <= 9000; ++step) {
    scaler.update(!kBad.contains(step));
    restored.update(!kBad.contains(step));
    ASSERT_EQ(scaler, restored) << step;
  }
}

TEST(LossScaler, BlamesTheScaleDownToItsFloor) {
  LossScaler scaler;
  for (double scale = LossScaler::kFirst; scale > LossScaler::kLeast; scale /= 2) {
    EXPECT_EQ(scaler.scale, scale);
    EXPECT_TRUE(scaler.update(false));
  }
  EXPECT_EQ(scaler.scale, LossScaler::kLeast);
  EXPECT_FALSE(scaler.update(false));
  EXPECT_EQ(scaler.scale, LossScaler::kLeast);
}

}  // namespace
}  // namespace weft
