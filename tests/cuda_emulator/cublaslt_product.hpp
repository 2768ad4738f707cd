// A product of the stand-in of cuBLASLt, by plain loops.
#pragma once

#include "tests/cuda_emulator/cublaslt_descriptors.hpp"

namespace cuda_emulator {

// All that a product needs when its turn comes, by value.
struct Product {
  Descriptor op;
  Layout a_layout, b_layout, c_layout, d_layout;
  float alpha, beta;
  const void *a, *b, *c;
  void *d, *workspace;
  std::size_t workspace_bytes;

  void operator()() const;

 private:
  static constexpr std::int64_t kRows = 512, kColumns = 4;  // of a tile, whose sums stay in cache
  void tile(const float* wide_a, const float* wide_b, std::int64_t k, std::int64_t row,
            std::int64_t column) const;
};

}  // namespace cuda_emulator
