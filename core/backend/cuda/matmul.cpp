// Matrix products by cuBLASLt.
#include <cassert>
#include <string>

#include "core/backend/cuda/cublaslt_state.hpp"
#include "core/backend/cuda/options.hpp"
#include "core/base/error.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

namespace {

// What cuBLAS's manual recommends at cublasSetWorkspace(): 32 MiB for Hopper and Blackwell, 12 MiB
// for Blackwell's compute capability 12, else 4 MiB.
std::size_t recommended_workspace(const cudaDeviceProp& gpu) {
  const std::size_t mib = gpu.major < 9 ? 4 : gpu.major >= 12 ? 12 : 32;
  return mib << 20;
}

// What the address is a multiple of: at most 16 bytes, the widest that a kernel loads at once. More
// would let the algorithm, and with it the rounding, depend on where the allocator puts a tensor.
std::uint32_t alignment_of(const Tensor& x) {
  if (!x) return 0;
  const auto address = reinterpret_cast<std::uintptr_t>(x.raw());
  std::uint32_t alignment = 16;
  while (address % alignment != 0) alignment /= 2;
  return alignment;
}

// c = a b, read as column-major matrices, whose columns are our rows: c^T = b^T a^T.
LtSignature signature_of(const Tensor& c, const Tensor& a, const Tensor& b,
                         const MatmulArgs& args) {
  LtSignature s;
  s.m = c.shape().last();
  s.n = c.shape().rows();
  s.k = a.numel() / s.n;
  s.transpose_a = args.transpose_b;
  s.transpose_b = args.transpose_a;
  s.dtype = a.dtype();
  s.d_dtype = c.dtype();
  s.epilogue = args.before_activation ? LtEpilogue::bias_gelu
               : args.bias            ? LtEpilogue::bias
               : args.a_sums          ? LtEpilogue::column_sums
                                      : LtEpilogue::none;
  s.a_alignment = alignment_of(b);
  s.b_alignment = alignment_of(a);
  s.d_alignment = alignment_of(c);
  s.vector_alignment = alignment_of(args.bias ? args.bias : args.a_sums);
  s.gelu_input_alignment = alignment_of(args.before_activation);
  return s;
}

std::string describe(const Tensor& x) {
  return x.shape().str() + " " + std::string(name_of(x.dtype()));
}

// "c [8, 4] f32 = a [8, 3] bf16 * b^T [4, 3] bf16 + bias"
std::string describe(const Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) {
  return "c " + describe(c) + (args.accumulate ? " += a" : " = a") +
         (args.transpose_a ? "^T " : " ") + describe(a) + (args.transpose_b ? " * b^T " : " * b ") +
         describe(b) +
         (args.before_activation ? " + bias, then GELU"
          : args.bias            ? " + bias"
          : args.a_sums          ? " with the sums of a"
                                 : "");
}

}  // namespace

CudaBackend::CublasLt::CublasLt(const CudaRuntime& runtime)
    : handle(make_cublaslt_handle()),
      workspace_limit(recommended_workspace(runtime.properties())),
      products(handle.get(), workspace_limit) {}

cublasStatus_t CudaBackend::CublasLt::multiply(Tensor& c, const Tensor& a, const Tensor& b,
                                               const MatmulArgs& args, cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  LtSignature signature = signature_of(c, a, b, args);
  const CudaOptions options = cuda_options();
  signature.tf32 = signature.dtype == DType::f32 && options.tf32;
  const bool timed = options.time_products && !options.deterministic;
  LtProduct& product = products.get(signature, timed ? 8 : 1);
  if (product.status() != CUBLAS_STATUS_SUCCESS) return product.status();
  const MemoryScope scratch_scope(MemoryUse::workspace);
  if (product.workspace_bytes() > 0 && !workspace)
    workspace = Tensor({static_cast<std::int64_t>(workspace_limit)}, DType::u8, c.device());
  LtProduct::Operands operands{.d = c.raw(),
                               .a = b.raw(),
                               .b = a.raw(),
                               .vector = args.bias ? args.bias.raw() : args.a_sums.raw(),
                               .gelu_input = args.before_activation.raw(),
                               .accumulate = args.accumulate};
  if (product.worth_timing() && !CudaRuntime::of(c.device().index).capturing()) {
    const Tensor trial = empty_like(c);  // what c holds may be wanted
    operands.d = trial.raw();
    product.keep_fastest(handle.get(), operands, workspace.raw(), stream);
    operands.d = c.raw();
  }
  return product.run(handle.get(), operands, workspace.raw(), stream);
}

// With no element of c or no inner dim. Empty sums are as good as those over one dim of zeros.
void CudaBackend::product_of_nothing(Tensor& c, const Tensor& a, const MatmulArgs& args) {
  if (args.a_sums) {
    Tensor sums = args.a_sums;
    sum_rows(sums, a);
  }
  if (c.numel() == 0) return;
  if (!args.bias) {
    if (!args.accumulate) fill(c, 0);
    return;
  }
  Tensor column = scratch({c.shape().rows(), 1}, a.dtype());
  Tensor row = scratch({1, c.shape().last()}, a.dtype());
  fill(column, 0);
  fill(row, 0);
  matmul(c, column, row, {.accumulate = args.accumulate, .bias = args.bias});
}

void CudaBackend::activate_apart(Tensor& c, const Tensor& a, const Tensor& b,
                                 const MatmulArgs& args) {
  Tensor before = args.before_activation;
  MatmulArgs without = args;
  without.before_activation = {};
  matmul(before, a, b, without);
  activation_forward(c, before, args.activation);
}

void CudaBackend::matmul(Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) {
  const std::int64_t rows = c.shape().rows(), columns = c.shape().last();
  assert(c.numel() == 0 || a.numel() / rows * columns == b.numel());
  assert(a.dtype() == b.dtype() && (c.dtype() == a.dtype() || c.dtype() == DType::f32));
  assert(!args.bias || (args.bias.numel() == columns && args.bias.dtype() == b.dtype()));
  assert(!args.a_sums || (args.transpose_a && args.a_sums.dtype() == DType::f32));
  assert(!args.before_activation || (args.bias && !args.accumulate && !args.a_sums &&
                                     args.before_activation.dtype() == c.dtype() &&
                                     fuses_activation(args.activation, c.dtype())));
  if (args.before_activation && (a.numel() == 0 || columns % kLtGeluInputRows != 0))
    return activate_apart(c, a, b, args);
  if (c.numel() == 0 || a.numel() == 0) return product_of_nothing(c, a, args);

  // One kernel does the product and one epilogue, whose vector has c's dtype.
  MatmulArgs fused = args;
  if (args.bias && args.bias.dtype() != c.dtype()) {
    fused.bias = scratch(args.bias.shape(), c.dtype());
    copy(fused.bias, args.bias);
  }
  const auto sums_apart = [&] {
    sum_rows(fused.a_sums, a);
    fused.a_sums = {};
  };
  if (fused.a_sums && (fused.bias || c.dtype() != DType::f32)) sums_apart();
  cublasStatus_t status = cublaslt_->multiply(c, a, b, fused, stream());

  // What cuBLASLt has no algorithm for with an epilogue, it may have without.
  if (status != CUBLAS_STATUS_SUCCESS && args.before_activation)
    return activate_apart(c, a, b, args);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED && fused.a_sums) {
    sums_apart();
    status = cublaslt_->multiply(c, a, b, fused, stream());
  }
  if (status == CUBLAS_STATUS_NOT_SUPPORTED && fused.bias) {  // c = 1 bias^T first
    Tensor ones = scratch({rows, 1}, b.dtype());
    fill(ones, 1);
    matmul(c, ones, args.bias.reshape({1, columns}), {.accumulate = args.accumulate});
    fused.bias = {};
    fused.accumulate = true;
    status = cublaslt_->multiply(c, a, b, fused, stream());
  }
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw Error("matmul: cuBLASLt refuses " + describe(c, a, b, args) + ": " +
                cublasLtGetStatusName(status));
  }
}

}  // namespace weft
