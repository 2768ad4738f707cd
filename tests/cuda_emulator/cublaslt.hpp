// What tests ask of the stand-in of cuBLASLt.
#pragma once

#include <cstddef>

namespace cuda_emulator {

// Calls since the start of the process that were not refused.
struct CublasLtCalls {
  std::size_t heuristics = 0, products = 0, activations = 0;  // the last with GELU in a product
};
CublasLtCalls cublaslt_calls();

// While one lives, the heuristic has no algorithm for a product with an epilogue: the original has
// none for some combinations of types, sizes and GPUs.
class NoEpilogues {
 public:
  NoEpilogues();
  ~NoEpilogues();
  NoEpilogues(const NoEpilogues&) = delete;
  NoEpilogues& operator=(const NoEpilogues&) = delete;
};

}  // namespace cuda_emulator
