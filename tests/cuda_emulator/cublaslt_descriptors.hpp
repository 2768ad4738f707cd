// What the handles of the stand-in of cuBLASLt hold, and the product that they describe together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <cublasLt.h>

struct cublasLtContext {};

struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType_t type;
  std::int64_t rows, columns, ld;
};

struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute_type;
  cudaDataType_t scale_type;
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  void* aux = nullptr;
  std::int64_t aux_ld = 0;
};

struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
  std::uint32_t reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::uint32_t alignments[4] = {256, 256, 256, 256};  // of A, B, C, D
};

namespace cuda_emulator {

using Layout = cublasLtMatrixLayoutOpaque_t;
using Descriptor = cublasLtMatmulDescOpaque_t;

// Says why to stderr.
cublasStatus_t invalid(const char* call, const std::string& why);

inline std::size_t bytes_of(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }

// D = alpha op(A) op(B) + beta C, and the epilogue.
struct Problem {
  const Descriptor& op;
  const Layout &a, &b, &c, &d;
  std::int64_t m() const { return d.rows; }
  std::int64_t n() const { return d.columns; }
  std::int64_t k() const { return op.transpose_a == CUBLAS_OP_N ? a.columns : a.rows; }
  bool has_aux() const { return op.epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS; }
  bool has_vector() const { return op.epilogue != CUBLASLT_EPILOGUE_DEFAULT; }
  std::int64_t vector_length() const { return op.epilogue == CUBLASLT_EPILOGUE_BGRADB ? n() : m(); }
};

}  // namespace cuda_emulator
