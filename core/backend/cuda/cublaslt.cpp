// cuBLASLt's descriptors, its heuristic, and the products that it chose.
#include "core/backend/cuda/cublaslt.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "core/backend/cuda/runtime.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error(std::string("cuBLASLt: ") + what + ": " + cublasLtGetStatusName(status));
}

cudaDataType_t data_type(DType dtype) {
  if (dtype == DType::f32) return CUDA_R_32F;
  if (dtype == DType::bf16) return CUDA_R_16BF;
  if (dtype == DType::f16) return CUDA_R_16F;
  throw Error("matmul: no CUDA product of dtype " + std::string(name_of(dtype)),
              "f32, bf16 and f16 can be computed with");
}

LtLayout make_layout(DType dtype, std::int64_t rows, std::int64_t columns) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, data_type(dtype), static_cast<std::uint64_t>(rows),
                                   static_cast<std::uint64_t>(columns), rows),
        "describing a matrix");
  return LtLayout(layout);
}

template <class T>
void set(const LtDescriptor& descriptor, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check(cublasLtMatmulDescSetAttribute(descriptor.get(), attribute, &value, sizeof value),
        "describing a product");
}

template <class T>
void set(const LtPreference& preference, cublasLtMatmulPreferenceAttributes_t attribute,
         const T& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
        "describing a choice of algorithms");
}

LtDescriptor make_descriptor(const LtSignature& s) {
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, s.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                 CUDA_R_32F),
        "describing a product");
  LtDescriptor descriptor(made);
  set(descriptor, CUBLASLT_MATMUL_DESC_TRANSA, s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(descriptor, CUBLASLT_MATMUL_DESC_TRANSB, s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (s.epilogue != LtEpilogue::none) {
    set(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE,
        s.epilogue == LtEpilogue::bias        ? CUBLASLT_EPILOGUE_BIAS
        : s.epilogue == LtEpilogue::bias_gelu ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS
                                              : CUBLASLT_EPILOGUE_BGRADB);
    // The heuristic reads the alignment off an address, and nothing else.
    set(descriptor, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
        reinterpret_cast<const void*>(std::uintptr_t{s.vector_alignment}));
  }
  if (s.epilogue == LtEpilogue::bias_gelu) {
    set(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, s.m);
    set(descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER,
        reinterpret_cast<void*>(std::uintptr_t{s.gelu_input_alignment}));
  }
  return descriptor;
}

LtPreference make_preference(const LtSignature& s, std::size_t workspace_limit) {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "describing a choice of algorithms");
  LtPreference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{workspace_limit});
  // Where k is cut into parts, the parts of a 16-bit result are to be added in fp32 too.
  if (s.d_dtype != DType::f32) {
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  }
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, s.a_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, s.b_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, s.d_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, s.d_alignment);
  return preference;
}

}  // namespace

LtHandle make_cublaslt_handle() {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "starting");
  return LtHandle(handle);
}

LtProduct::LtProduct(cublasLtHandle_t handle, const LtSignature& s, std::size_t workspace_limit,
                     int wanted)
    : descriptor_(make_descriptor(s)),
      a_(s.transpose_a ? make_layout(s.dtype, s.k, s.m) : make_layout(s.dtype, s.m, s.k)),
      b_(s.transpose_b ? make_layout(s.dtype, s.n, s.k) : make_layout(s.dtype, s.k, s.n)),
      d_(make_layout(s.d_dtype, s.m, s.n)) {
  const LtPreference preference = make_preference(s, workspace_limit);
  candidates_.resize(static_cast<std::size_t>(wanted));
  int found = 0;
  status_ = cublasLtMatmulAlgoGetHeuristic(handle, descriptor_.get(), a_.get(), b_.get(), d_.get(),
                                           d_.get(), preference.get(), wanted, candidates_.data(),
                                           &found);
  candidates_.resize(static_cast<std::size_t>(found));
  std::erase_if(candidates_, [](const auto& c) { return c.state != CUBLAS_STATUS_SUCCESS; });
  if (status_ == CUBLAS_STATUS_SUCCESS && candidates_.empty())
    status_ = CUBLAS_STATUS_NOT_SUPPORTED;
}

std::size_t LtProduct::workspace_bytes() const {
  std::size_t most = 0;
  for (const auto& candidate : candidates_) most = std::max(most, candidate.workspaceSize);
  return most;
}

cublasStatus_t LtProduct::run(cublasLtHandle_t handle, const Operands& operands, void* workspace,
                              cudaStream_t stream) {
  has_run_ = true;
  return run_with(candidates_.front(), handle, operands, workspace, stream);
}

void LtProduct::keep_fastest(cublasLtHandle_t handle, const Operands& operands, void* workspace,
                             cudaStream_t stream) {
  constexpr int kRuns = 5;
  CudaEvent start(true), end(true);
  float least = std::numeric_limits<float>::infinity();
  cublasLtMatmulHeuristicResult_t fastest = candidates_.front();
  for (const auto& candidate : candidates_) {
    const auto run_once = [&] {
      return run_with(candidate, handle, operands, workspace, stream) == CUBLAS_STATUS_SUCCESS;
    };
    if (!run_once()) continue;  // which also loads its kernels
    start.record(stream);
    for (int i = 0; i < kRuns; ++i) run_once();
    end.record(stream);
    end.wait();
    if (const float time = end.milliseconds_since(start); time < least) {
      least = time;
      fastest = candidate;
    }
  }
  candidates_ = {fastest};
}

cublasStatus_t LtProduct::run_with(const cublasLtMatmulHeuristicResult_t& algorithm,
                                   cublasLtHandle_t handle, const Operands& operands,
                                   void* workspace, cudaStream_t stream) {
  if (operands.vector) set(descriptor_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.vector);
  if (operands.gelu_input)
    set(descriptor_, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, operands.gelu_input);
  const float alpha = 1, beta = operands.accumulate ? 1 : 0;
  return cublasLtMatmul(handle, descriptor_.get(), &alpha, operands.a, a_.get(), operands.b,
                        b_.get(), &beta, operands.d, d_.get(), operands.d, d_.get(),
                        &algorithm.algo, workspace, algorithm.workspaceSize, stream);
}

std::size_t LtProducts::Hash::operator()(const LtSignature& s) const {
  std::uint64_t hash = 0;
  const auto mix = [&hash](std::int64_t value) {
    hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 32;
  };
  for (const std::int64_t v : {s.m, s.n, s.k}) mix(v);
  mix(s.tf32 << 2 | s.transpose_a << 1 | static_cast<int>(s.transpose_b));
  mix(static_cast<std::int64_t>(s.epilogue) << 8 | static_cast<std::int64_t>(s.dtype) << 4 |
      static_cast<std::int64_t>(s.d_dtype));
  for (const std::uint32_t v :
       {s.a_alignment, s.b_alignment, s.d_alignment, s.vector_alignment, s.gelu_input_alignment})
    mix(v);
  return hash;
}

LtProduct& LtProducts::get(const LtSignature& signature, int wanted) {
  if (const auto it = products_.find(signature); it != products_.end()) return it->second;
  if (products_.size() >= kCapacity) products_.clear();
  return products_.try_emplace(signature, handle_, signature, workspace_limit_, wanted)
      .first->second;
}

}  // namespace weft
