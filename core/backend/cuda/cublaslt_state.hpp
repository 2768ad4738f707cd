// What matrix products keep between calls.
#pragma once

#include <mutex>

#include "core/backend/cuda/cublaslt.hpp"
#include "core/backend/cuda/cuda_backend.hpp"

namespace weft {

struct CudaBackend::CublasLt {
  explicit CublasLt(const CudaRuntime& runtime);

  // Begins c = op(a) op(b) with at most one of bias and a_sums, in one kernel. What it answers
  // tells whether there is an algorithm for that.
  cublasStatus_t multiply(Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args,
                          cudaStream_t stream);

  LtHandle handle;
  std::size_t workspace_limit;  // what NVIDIA recommends for the GPU
  LtProducts products;
  // Of workspace_limit bytes, from the first product that needs one on: products run on one stream,
  // one after the other.
  Tensor workspace;
  std::mutex mutex;
};

}  // namespace weft
