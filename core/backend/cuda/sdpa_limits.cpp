// Versions, shapes and devices on which cuDNN's attention is known to be wrong, or not known to be
// right.
//
// Source: the checks of NVIDIA's cudnn-frontend 1.x before it builds such graphs
// (scaled_dot_product_flash_attention.h, sdpa_support_surface.h).
#include "core/backend/cuda/sdpa_limits.hpp"

namespace weft {

std::string beyond_sdpa(const AttentionSignature& z, bool backward, std::size_t cudnn, int major) {
  // Before 9.10 hidden scores had another value; 9.10.0 and 9.10.1 have faults in both directions.
  if (cudnn < 91002) return "it is older than 9.10.2";
  if (z.T == 1 && z.kv_T == 1) return "there is a single query and key";
  if (!backward) return "";
  if (cudnn <= 91500 && !z.padded && z.kv_T % 128 != 0)
    return "up to 9.15.0 gradients of keys that do not fill blocks of 128 are only right with a "
           "mask";
  // From Blackwell on a fixed order takes an engine of its own, which our graph does not name.
  if (z.deterministic && major >= 10)
    return "on compute capability 10 and later its gradients are not known to be deterministic";
  return "";
}

}  // namespace weft
