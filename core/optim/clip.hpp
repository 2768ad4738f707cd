// Gradient clipping by the global norm.
#pragma once

namespace weft {

// The factor that brings a gradient of this norm down to `clip_norm`; 1 when it is not above, or
// when clip_norm is 0 (off).
//
// Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks",
// ICML 2013.
inline double clip_scale(double norm, double clip_norm) {
  return clip_norm > 0 && norm > clip_norm ? clip_norm / norm : 1;
}

}  // namespace weft
