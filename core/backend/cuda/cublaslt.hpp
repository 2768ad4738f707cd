// cuBLASLt behind classes of our own: products of column-major matrices, and the algorithms chosen
// for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include <cublasLt.h>

#include "core/tensor/dtype.hpp"

namespace weft {

// Owns one of cuBLASLt's objects.
template <class Pointer, cublasStatus_t (*destroy)(Pointer)>
struct LtDestroy {
  void operator()(Pointer p) const { destroy(p); }
};
template <class Pointer, cublasStatus_t (*destroy)(Pointer)>
using LtOwner = std::unique_ptr<std::remove_pointer_t<Pointer>, LtDestroy<Pointer, destroy>>;

using LtHandle = LtOwner<cublasLtHandle_t, cublasLtDestroy>;
using LtDescriptor = LtOwner<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using LtLayout = LtOwner<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using LtPreference = LtOwner<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

// Throws Error when there is not even memory for a handle.
LtHandle make_cublaslt_handle();

// What the product's kernel does besides: add bias[m] to each column of d; that, leave the sum in
// another matrix of d's layout, and take GELU of it in its tanh form; or write sums[n], the sums of
// op(b)'s columns. Vector and matrix have d's dtype.
enum class LtEpilogue { none, bias, bias_gelu, column_sums };
// m is to be a multiple of it for bias_gelu: CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD in cublasLt.h.
inline constexpr std::int64_t kLtGeluInputRows = 8;

// d[m, n] = op(a) op(b) (+ d): column-major, without gaps between columns. All that an algorithm
// depends on.
struct LtSignature {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false;    // a is stored [k, m]
  bool transpose_b = false;    // b is stored [n, k]
  DType dtype = DType::f32;    // of a, b
  DType d_dtype = DType::f32;  // this or f32
  bool tf32 = false;           // f32 operands may be rounded to 11 significant bits
  LtEpilogue epilogue = LtEpilogue::none;
  // Bytes that the addresses are multiples of; 0 where an epilogue has no vector or no matrix.
  std::uint32_t a_alignment = 0, b_alignment = 0, d_alignment = 0, vector_alignment = 0;
  std::uint32_t gelu_input_alignment = 0;

  bool operator==(const LtSignature&) const = default;
};

// A product with its descriptors and its algorithms. One thread at a time.
class LtProduct {
 public:
  // Asks the heuristic for up to `wanted` algorithms; the one ranked first is chosen.
  LtProduct(cublasLtHandle_t handle, const LtSignature& signature, std::size_t workspace_limit,
            int wanted);

  // Why there is no algorithm for it; CUBLAS_STATUS_SUCCESS when there is one.
  cublasStatus_t status() const { return status_; }
  // From the second run on, while there is a choice: a shape that comes once is not worth it.
  bool worth_timing() const { return has_run_ && candidates_.size() > 1; }
  std::size_t workspace_bytes() const;  // for any of its algorithms

  struct Operands {
    void* d;
    const void* a;
    const void* b;
    const void* vector;  // of the epilogue
    void* gelu_input;    // as well
    bool accumulate;
  };
  // Begins it on the stream.
  cublasStatus_t run(cublasLtHandle_t handle, const Operands& operands, void* workspace,
                     cudaStream_t stream);
  // Times every algorithm on these operands, keeps the fastest, forgets the others. Waits for the
  // device.
  void keep_fastest(cublasLtHandle_t handle, const Operands& operands, void* workspace,
                    cudaStream_t stream);

 private:
  cublasStatus_t run_with(const cublasLtMatmulHeuristicResult_t& algorithm, cublasLtHandle_t handle,
                          const Operands& operands, void* workspace, cudaStream_t stream);

  LtDescriptor descriptor_;
  LtLayout a_, b_, d_;
  cublasStatus_t status_ = CUBLAS_STATUS_SUCCESS;
  std::vector<cublasLtMatmulHeuristicResult_t> candidates_;  // the chosen one first
  bool has_run_ = false;
};

// Products by signature: to ask the heuristic costs far more than to look up.
class LtProducts {
 public:
  LtProducts(cublasLtHandle_t handle, std::size_t workspace_limit)
      : handle_(handle), workspace_limit_(workspace_limit) {}
  // Valid until the next call.
  LtProduct& get(const LtSignature& signature, int wanted);

 private:
  // Shapes that follow the data, as those of texts that are run through a model, pile up.
  static constexpr std::size_t kCapacity = 4096;

  struct Hash {
    std::size_t operator()(const LtSignature& s) const;
  };
  cublasLtHandle_t handle_;
  std::size_t workspace_limit_;
  std::unordered_map<LtSignature, LtProduct, Hash> products_;
};

}  // namespace weft
