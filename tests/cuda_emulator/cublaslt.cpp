// cuBLASLt on the host: which products it takes, by the rules of its manual, and taking them.
#include "tests/cuda_emulator/cublaslt.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <string>

#include "tests/cuda_emulator/cublaslt_product.hpp"
#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/memory.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"

namespace cuda_emulator {

namespace {

std::atomic<std::size_t> heuristics{0}, products{0}, activations{0};
std::atomic<int> no_epilogues{0};

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
  if (p.has_aux() && (p.op.aux_ld % 8 != 0 || p.op.aux_ld < p.m()))
    return "the leading dimension of GELU's input is no multiple of 8, or less than the rows of D";
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
        std::int64_t{p.op.transpose_b}, std::int64_t{p.op.epilogue}, p.op.aux_ld})
    hash = (hash ^ static_cast<std::uint64_t>(v)) * 0x100000001B3;
  return {{hash}};
}
enum AlgorithmField { kHash, kWorkspace, kAlignments /* A, B, C, D, vector, GELU's input */ };
constexpr int kAlgorithms = 3;  // for every problem

std::uint64_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  return address == 0 ? 256 : std::min<std::uint64_t>(256, address & (~address + 1));
}

}  // namespace

CublasLtCalls cublaslt_calls() {
  return {.heuristics = heuristics, .products = products, .activations = activations};
}
NoEpilogues::NoEpilogues() { ++no_epilogues; }
NoEpilogues::~NoEpilogues() { --no_epilogues; }

}  // namespace cuda_emulator

using namespace cuda_emulator;

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
  result.algo.data[kAlignments + 5] = alignment_of(descriptor->aux);
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
  if (p.has_aux() && !descriptor->aux) return invalid(call, "GELU's input has no place");

  // What the original finds out on the device, if at all.
  const auto span_of = [](const Layout& x) {
    return static_cast<std::size_t>((x.columns - 1) * x.ld + x.rows) * bytes_of(x.type);
  };
  struct Operand {
    const char* name;
    const void* p;
    std::size_t bytes;
    std::uint64_t alignment;
  };
  const std::array operands = {
      Operand{"A", a, span_of(*a_layout), algo->data[kAlignments]},
      Operand{"B", b, span_of(*b_layout), algo->data[kAlignments + 1]},
      Operand{"C", c, span_of(*c_layout), algo->data[kAlignments + 2]},
      Operand{"D", d, span_of(*d_layout), algo->data[kAlignments + 3]},
      Operand{"the epilogue's vector", p.has_vector() ? descriptor->bias : d,
              p.has_vector()
                  ? static_cast<std::size_t>(p.vector_length()) * bytes_of(d_layout->type)
                  : bytes_of(d_layout->type),
              p.has_vector() ? algo->data[kAlignments + 4] : 1},
      Operand{"GELU's input", p.has_aux() ? descriptor->aux : d,
              p.has_aux() ? static_cast<std::size_t>((p.n() - 1) * descriptor->aux_ld + p.m()) *
                                bytes_of(d_layout->type)
                          : bytes_of(d_layout->type),
              p.has_aux() ? algo->data[kAlignments + 5] : 1},
      Operand{"the workspace", workspace_bytes > 0 ? workspace : d,
              std::max<std::size_t>(workspace_bytes, 1), 1},
  };
  for (const Operand& x : operands) {
    if (!DeviceMemory::instance().holds(x.p, x.bytes))
      fail(std::string("cublasLtMatmul(): ") + x.name +
           " is not within one piece of device memory");
    if (alignment_of(x.p) < x.alignment)
      fail(std::string("cublasLtMatmul(): ") + x.name + " is less aligned than was promised");
  }
  const auto overlap = [](const Operand& x, const Operand& y) {
    const auto* const begin = static_cast<const char*>(x.p);
    const auto* const other = static_cast<const char*>(y.p);
    return begin < other + y.bytes && other < begin + x.bytes;
  };
  const Operand &of_d = operands[3], &of_aux = operands[5];
  for (const std::size_t i : {0U, 1U}) {
    if (overlap(operands[i], of_d))
      fail(std::string("cublasLtMatmul(): D overlaps ") + operands[i].name);
  }
  for (const std::size_t i : {0U, 1U, 3U, 4U}) {
    if (p.has_aux() && overlap(operands[i], of_aux))
      fail(std::string("cublasLtMatmul(): GELU's input overlaps ") + operands[i].name);
  }

  const Product product{*descriptor,
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
  const auto work = [product, operands] {
    for (const Operand& x : operands)
      check_range(std::string("cublasLtMatmul(): ") + x.name, x.p, x.bytes);
    product();
  };
  if (enqueue(stream, "cublasLtMatmul", work) != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  ++products;
  if (p.has_aux()) ++activations;
  return CUBLAS_STATUS_SUCCESS;
}
