// cuBLASLt on the host: its rules, by its manual, and its products, by plain loops.
#include "tests/cuda_emulator/cublaslt.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include <cublasLt.h>

#include "core/tensor/dtype.hpp"
#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/memory.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"

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
};

struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
  std::uint32_t reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::uint32_t alignments[4] = {256, 256, 256, 256};  // of A, B, C, D
};

namespace cuda_emulator {
namespace {

using Layout = cublasLtMatrixLayoutOpaque_t;
using Descriptor = cublasLtMatmulDescOpaque_t;

std::atomic<std::size_t> heuristics{0}, products{0};
std::atomic<int> no_epilogues{0};

cublasStatus_t invalid(const char* call, const std::string& why) {
  explain(std::string(call) + " is refused: " + why);
  return CUBLAS_STATUS_INVALID_VALUE;
}

std::size_t bytes_of(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }

// ---- rules --------------------------------------------------------------------------------------
struct Problem {
  const Descriptor& op;
  const Layout &a, &b, &c, &d;
  std::int64_t m() const { return d.rows; }
  std::int64_t n() const { return d.columns; }
  std::int64_t k() const { return op.transpose_a == CUBLAS_OP_N ? a.columns : a.rows; }
  bool has_vector() const { return op.epilogue != CUBLASLT_EPILOGUE_DEFAULT; }
  std::int64_t vector_length() const { return op.epilogue == CUBLASLT_EPILOGUE_BGRADB ? n() : m(); }
};

// The manual's table of types at cublasLtMatmul(), the rows with an fp32 accumulator and floating
// operands. The epilogue's vector has D's type in all of them.
bool types_fit(const Problem& p) {
  const cudaDataType_t ab = p.a.type, d = p.d.type;
  if (p.op.scale_type != CUDA_R_32F || p.b.type != ab || p.c.type != d) return false;
  if (p.op.compute_type == CUBLAS_COMPUTE_32F_FAST_TF32) return ab == CUDA_R_32F && d == CUDA_R_32F;
  return p.op.compute_type == CUBLAS_COMPUTE_32F && (d == ab || d == CUDA_R_32F);
}

// What is wrong with the shapes, or "".
std::string misfit(const Problem& p) {
  const auto rows = [](const Layout& x, cublasOperation_t op) {
    return op == CUBLAS_OP_N ? x.rows : x.columns;
  };
  const auto columns = [](const Layout& x, cublasOperation_t op) {
    return op == CUBLAS_OP_N ? x.columns : x.rows;
  };
  for (const Layout* x : {&p.a, &p.b, &p.c, &p.d}) {
    if (x->rows <= 0 || x->columns <= 0) return "a matrix is empty";
    if (x->ld < x->rows) return "a leading dimension is less than the rows";
  }
  if (rows(p.a, p.op.transpose_a) != p.m()) return "op(A) has not the rows of D";
  if (columns(p.b, p.op.transpose_b) != p.n()) return "op(B) has not the columns of D";
  if (rows(p.b, p.op.transpose_b) != p.k()) return "op(A) and op(B) share no inner dim";
  if (p.c.rows != p.d.rows || p.c.columns != p.d.columns) return "C has not the shape of D";
  return "";
}

// An algorithm is good for the problem that it was chosen for, at the alignments that it was
// promised.
cublasLtMatmulAlgo_t algorithm_for(const Problem& p) {
  std::uint64_t hash = 0x5745465447454D4D;
  for (const std::int64_t v :
       {p.m(), p.n(), p.k(), p.a.ld, p.b.ld, p.c.ld, p.d.ld, std::int64_t{p.a.type},
        std::int64_t{p.d.type}, std::int64_t{p.op.compute_type}, std::int64_t{p.op.transpose_a},
        std::int64_t{p.op.transpose_b}, std::int64_t{p.op.epilogue}})
    hash = (hash ^ static_cast<std::uint64_t>(v)) * 0x100000001B3;
  return {{hash}};
}
enum AlgorithmField { kHash, kWorkspace, kAlignments /* of A, B, C, D and the vector */ };
constexpr int kAlgorithms = 3;  // for every problem

std::uint64_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  return address == 0 ? 256 : std::min<std::uint64_t>(256, address & (~address + 1));
}

// ---- arithmetic ---------------------------------------------------------------------------------
float load(const void* p, cudaDataType_t type, std::int64_t i) {
  if (type == CUDA_R_32F) return static_cast<const float*>(p)[i];
  if (type == CUDA_R_16BF) return static_cast<float>(static_cast<const weft::bfloat16*>(p)[i]);
  return static_cast<float>(static_cast<const weft::float16*>(p)[i]);
}

void store(void* p, cudaDataType_t type, std::int64_t i, float value) {
  if (type == CUDA_R_32F)
    static_cast<float*>(p)[i] = value;
  else if (type == CUDA_R_16BF)
    static_cast<weft::bfloat16*>(p)[i] = weft::bfloat16(value);
  else
    static_cast<weft::float16*>(p)[i] = weft::float16(value);
}

// To 10 explicit bits of the significand; NaN and Inf stay.
float to_tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7F800000U) == 0x7F800000U) return x;
  return std::bit_cast<float>((bits + 0xFFFU + ((bits >> 13) & 1U)) & ~0x1FFFU);
}

// op(x) in fp32, column by column.
std::vector<float> widened(const void* x, const Layout& layout, cublasOperation_t op, bool tf32) {
  const bool transposed = op == CUBLAS_OP_T;
  const std::int64_t rows = transposed ? layout.columns : layout.rows;
  std::vector<float> y(static_cast<std::size_t>(layout.rows * layout.columns));
  for (std::int64_t column = 0; column < layout.columns; ++column) {
    for (std::int64_t row = 0; row < layout.rows; ++row) {
      const float value = load(x, layout.type, column * layout.ld + row);
      const std::int64_t at = transposed ? row * rows + column : column * rows + row;
      y[static_cast<std::size_t>(at)] = tf32 ? to_tf32(value) : value;
    }
  }
  return y;
}

// All that a product needs when its turn comes, by value.
struct Work {
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

void Work::operator()() const {
  const Problem p{op, a_layout, b_layout, c_layout, d_layout};
  const bool tf32 = op.compute_type == CUBLAS_COMPUTE_32F_FAST_TF32;
  const std::vector<float> wide_a = widened(a, a_layout, op.transpose_a, tf32);
  const std::vector<float> wide_b = widened(b, b_layout, op.transpose_b, tf32);
  if (workspace_bytes > 0) std::memset(workspace, 0xFF, workspace_bytes);  // what was there is lost
  const std::int64_t m = p.m(), n = p.n(), k = p.k();
  const std::int64_t row_tiles = (m + kRows - 1) / kRows;
  const std::int64_t tiles = row_tiles * ((n + kColumns - 1) / kColumns);
#pragma omp parallel for schedule(static) if (m * n * k > 100000)
  for (std::int64_t t = 0; t < tiles; ++t)
    tile(wide_a.data(), wide_b.data(), k, t % row_tiles * kRows, t / row_tiles * kColumns);

  if (op.epilogue != CUBLASLT_EPILOGUE_BGRADB) return;
  for (std::int64_t column = 0; column < n; ++column) {
    float sum = 0;
    for (std::int64_t l = 0; l < k; ++l) sum += wide_b[static_cast<std::size_t>(column * k + l)];
    store(op.bias, d_layout.type, column, sum);
  }
}

void Work::tile(const float* wide_a, const float* wide_b, std::int64_t k, std::int64_t first_row,
                std::int64_t first_column) const {
  const std::int64_t m = d_layout.rows;
  const std::int64_t rows = std::min(kRows, m - first_row);
  const std::int64_t columns = std::min(kColumns, d_layout.columns - first_column);
  float sums[kColumns][kRows] = {};
  for (std::int64_t l = 0; l < k; ++l) {
    const float* const from = wide_a + l * m + first_row;
    for (std::int64_t j = 0; j < columns; ++j) {
      const float factor = wide_b[(first_column + j) * k + l];
      for (std::int64_t i = 0; i < rows; ++i) sums[j][i] += from[i] * factor;
    }
  }
  for (std::int64_t j = 0; j < columns; ++j) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t row = first_row + i, column = first_column + j;
      float value = alpha * sums[j][i];
      if (beta != 0) value += beta * load(c, c_layout.type, column * c_layout.ld + row);
      if (op.epilogue == CUBLASLT_EPILOGUE_BIAS) value += load(op.bias, d_layout.type, row);
      store(d, d_layout.type, column * d_layout.ld + row, value);
    }
  }
}

}  // namespace

CublasLtCalls cublaslt_calls() { return {.heuristics = heuristics, .products = products}; }
NoEpilogues::NoEpilogues() { ++no_epilogues; }
NoEpilogues::~NoEpilogues() { --no_epilogues; }

}  // namespace cuda_emulator

using namespace cuda_emulator;

// ---- the API ------------------------------------------------------------------------------------
const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "?";
}

std::size_t cublasLtGetVersion() { return 130100; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t ld) {
  *layout =
      new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), ld};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* descriptor,
                                        cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type) {
  *descriptor = new Descriptor{.compute_type = compute_type, .scale_type = scale_type};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t descriptor) {
  delete descriptor;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t descriptor,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
  const auto set = [&](auto& field) {
    if (!value || bytes != sizeof field)
      return invalid("cublasLtMatmulDescSetAttribute()", "the value has another size");
    std::memcpy(&field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  };
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(descriptor->transpose_a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(descriptor->transpose_b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(descriptor->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set(descriptor->bias);
  }
  return invalid("cublasLtMatmulDescSetAttribute()", "there is no such attribute");
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  const auto set = [&](auto& field) {
    if (!value || bytes != sizeof field)
      return invalid("cublasLtMatmulPreferenceSetAttribute()", "the value has another size");
    std::memcpy(&field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  };
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(preference->workspace);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return set(preference->reduction_schemes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set(preference->alignments[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES]);
  }
  return invalid("cublasLtMatmulPreferenceSetAttribute()", "there is no such attribute");
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t descriptor,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  const char* const call = "cublasLtMatmulAlgoGetHeuristic()";
  *found = 0;
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!descriptor || !a || !b || !c || !d || !preference)
    return invalid(call, "an argument is missing");
  if (wanted <= 0) return invalid(call, "no algorithm is wanted");
  const Problem p{*descriptor, *a, *b, *c, *d};
  if (const std::string why = misfit(p); !why.empty()) return invalid(call, why);
  if (!types_fit(p)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (p.has_vector() && no_epilogues > 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  const Layout* const layouts[] = {a, b, c, d};
  cublasLtMatmulHeuristicResult_t result{};
  result.algo = algorithm_for(p);
  for (int i = 0; i < 4; ++i) {
    if (preference->alignments[i] % bytes_of(layouts[i]->type) != 0)
      return CUBLAS_STATUS_NOT_SUPPORTED;  // elements at addresses that are none of their type
    result.algo.data[kAlignments + i] = preference->alignments[i];
  }
  result.algo.data[kAlignments + 4] = alignment_of(descriptor->bias);
  // Products with many terms are cut into parts, whose sums meet in the workspace.
  const bool parts =
      p.k() >= 64 && (preference->reduction_schemes & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
  const auto part_bytes = static_cast<std::uint64_t>(2 * p.m() * p.n()) * sizeof(float);
  result.workspaceSize = parts && part_bytes <= preference->workspace ? part_bytes : 0;
  result.algo.data[kWorkspace] = result.workspaceSize;
  result.state = CUBLAS_STATUS_SUCCESS;
  result.wavesCount = 1;
  *found = std::min(wanted, kAlgorithms);
  std::fill_n(results, *found, result);
  ++heuristics;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, std::size_t workspace_bytes, cudaStream_t stream) {
  const char* const call = "cublasLtMatmul()";
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!descriptor || !alpha || !a || !a_layout || !b || !b_layout || !beta || !c || !c_layout ||
      !d || !d_layout || !algo)
    return invalid(call, "an argument is missing");
  const Problem p{*descriptor, *a_layout, *b_layout, *c_layout, *d_layout};
  if (const std::string why = misfit(p); !why.empty()) return invalid(call, why);
  if (!types_fit(p)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (algo->data[kHash] != algorithm_for(p).data[kHash])
    return invalid(call, "the algorithm was chosen for another problem");
  if (workspace_bytes < algo->data[kWorkspace])
    return invalid(call, "the workspace is smaller than the algorithm's");
  if (alignment_of(workspace) < 256)
    return invalid(call, "the workspace is at no multiple of 256 bytes");
  if (p.has_vector() && !descriptor->bias) return invalid(call, "the epilogue's vector is missing");

  // What the original finds out on the device, if at all.
  const auto span_of = [](const Layout& x) {
    return static_cast<std::size_t>((x.columns - 1) * x.ld + x.rows) * bytes_of(x.type);
  };
  const struct Operand {
    const char* name;
    const void* p;
    std::size_t bytes;
    std::uint64_t alignment;
  } operands[] = {
      {"A", a, span_of(*a_layout), algo->data[kAlignments]},
      {"B", b, span_of(*b_layout), algo->data[kAlignments + 1]},
      {"C", c, span_of(*c_layout), algo->data[kAlignments + 2]},
      {"D", d, span_of(*d_layout), algo->data[kAlignments + 3]},
      {"the epilogue's vector", p.has_vector() ? descriptor->bias : d,
       p.has_vector() ? static_cast<std::size_t>(p.vector_length()) * bytes_of(d_layout->type)
                      : bytes_of(d_layout->type),
       p.has_vector() ? algo->data[kAlignments + 4] : 1},
      {"the workspace", workspace_bytes > 0 ? workspace : d,
       std::max<std::size_t>(workspace_bytes, 1), 1},
  };
  for (const Operand& x : operands) {
    if (!DeviceMemory::instance().holds(x.p, x.bytes))
      fail(std::string("cublasLtMatmul(): ") + x.name +
           " is not within one piece of device memory");
    if (alignment_of(x.p) < x.alignment)
      fail(std::string("cublasLtMatmul(): ") + x.name + " is less aligned than was promised");
  }
  const auto* const d_begin = static_cast<const char*>(d);
  for (const int i : {0, 1}) {
    const auto* const begin = static_cast<const char*>(operands[i].p);
    if (begin < d_begin + operands[3].bytes && d_begin < begin + operands[i].bytes)
      fail(std::string("cublasLtMatmul(): D overlaps ") + operands[i].name);
  }

  const Work work{*descriptor,
                  *a_layout,
                  *b_layout,
                  *c_layout,
                  *d_layout,
                  *static_cast<const float*>(alpha),
                  *static_cast<const float*>(beta),
                  a,
                  b,
                  c,
                  d,
                  workspace,
                  static_cast<std::size_t>(algo->data[kWorkspace])};
  if (enqueue(stream, "cublasLtMatmul", work) != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  ++products;
  return CUBLAS_STATUS_SUCCESS;
}
