// Dynamic loss scaling for training in fp16.
#pragma once

#include <cstdint>

namespace weft {

// fp16 has no number below 6e-8: small gradients would vanish. The loss is multiplied by `scale`, a
// power of two, and the gradient divided by it again in fp32; a scale so large that a gradient
// overflows costs a skipped step. Its state is its members: restoring them continues.
//
// Source: Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2.
struct LossScaler {
  static constexpr double kFirst = 65536, kLeast = 1;
  static constexpr std::int64_t kInterval = 2000;

  double scale = kFirst;
  std::int64_t good_steps = 0;  // since the scale changed

  bool operator==(const LossScaler&) const = default;

  // After each step, the same on every rank: kInterval finite ones in a row double the scale, one
  // that is not finite halves it. False when such a step cannot be the scale's fault, which is at
  // its least.
  bool update(bool finite);
};

}  // namespace weft
