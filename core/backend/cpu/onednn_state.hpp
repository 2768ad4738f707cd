// What the CPU backend keeps between matrix products.
#pragma once

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/onednn.hpp"
#include "core/backend/cpu/packed_weights.hpp"

namespace weft {

struct CpuBackend::OneDnn {
  ProductCache products;
  PackedWeights packed;
};

}  // namespace weft
