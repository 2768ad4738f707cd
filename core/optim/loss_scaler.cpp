// Dynamic loss scaling for training in fp16.
#include "core/optim/loss_scaler.hpp"

#include <algorithm>

namespace weft {

bool LossScaler::update(bool finite) {
  if (!finite) {
    const bool may_be_lower = scale > kLeast;
    scale = std::max(kLeast, scale / 2);
    good_steps = 0;
    return may_be_lower;
  }
  if (++good_steps == kInterval) {
    scale *= 2;
    good_steps = 0;
  }
  return true;
}

}  // namespace weft
