// What the backend asks of cuBLASLt, and that the stand-in refuses what cuBLASLt's manual forbids.
#include "tests/cuda_emulator/cublaslt.hpp"

#include <cublasLt.h>
#include <gtest/gtest.h>

#include "core/backend/backend.hpp"
#include "tests/core/tensor_helpers.hpp"
#include "tests/cuda_emulator/gpu_buffer.hpp"

namespace weft {
namespace {

using cuda_emulator::cublaslt_calls;

// Heuristics asked while f runs.
template <class F>
std::size_t heuristics_of(F&& f) {
  const std::size_t before = cublaslt_calls().heuristics;
  f();
  return cublaslt_calls().heuristics - before;
}

Tensor product(const Tensor& a, const Tensor& b, const MatmulArgs& args, DType dtype) {
  Tensor c = make_empty({args.transpose_a ? a.shape().last() : a.shape().rows(),
                         args.transpose_b ? b.shape().rows() : b.shape().last()},
                        dtype);
  backend(c).matmul(c, a, b, args);
  return c;
}

TEST(CublasLtProducts, AskOnceForEachSignature) {
  const Tensor a = make_random({7, 23}, 1), b = make_random({23, 11}, 2);
  const auto multiply = [&] { product(a, b, {}, DType::f32); };
  EXPECT_EQ(heuristics_of(multiply), 1U);
  EXPECT_EQ(heuristics_of(multiply), 0U);
  const Tensor bias = make_random({11}, 3);
  EXPECT_EQ(heuristics_of([&] { product(a, b, {.bias = bias}, DType::f32); }), 1U);
  EXPECT_EQ(heuristics_of([&] { product(a, b, {.bias = bias}, DType::f32); }), 0U);
  EXPECT_EQ(heuristics_of(multiply), 0U);
}

TEST(CublasLtProducts, AskAgainForALesserAlignmentOnly) {
  const Tensor a = make_random({5, 29}, 1), stored = make_random({29 * 13 + 8}, 2);
  const auto multiply_at = [&](std::int64_t first) {
    product(a, stored.slice_flat(first, {29, 13}), {}, DType::f32);
  };
  EXPECT_EQ(heuristics_of([&] { multiply_at(0); }), 1U);
  EXPECT_EQ(heuristics_of([&] { multiply_at(4); }), 0U) << "16 bytes on is as good as the start";
  EXPECT_EQ(heuristics_of([&] { multiply_at(1); }), 1U);
  EXPECT_EQ(heuristics_of([&] { multiply_at(3); }), 0U);
  EXPECT_EQ(heuristics_of([&] { multiply_at(2); }), 1U);
}

TEST(CublasLtProducts, DoEpiloguesApartWhereTheyMust) {
  for (const DType dtype : test_dtypes()) {
    const Tensor a = make_random({9, 31}, 1, dtype), b = make_random({9, 6}, 2, dtype);
    const Tensor bias = make_random({6}, 3, dtype);
    for (const bool with_bias : {false, true}) {
      MatmulArgs args{.transpose_a = true, .a_sums = make_empty({31})};
      if (with_bias) args.bias = bias;
      const Tensor fused = product(a, b, args, DType::f32);
      const Tensor sums = to_dtype(args.a_sums, DType::f32);
      const cuda_emulator::NoEpilogues none;  // for addresses that no algorithm is known for
      args.a_sums = unaligned(args.a_sums);
      if (with_bias) args.bias = unaligned(bias);
      EXPECT_TRUE(close(product(a, b, args, DType::f32), fused, 1e-6));
      EXPECT_TRUE(close(args.a_sums, sums, 1e-6));
    }
  }
}

TEST(CublasLtProducts, ActivateInTheirKernelWhereTheyCan) {
  const auto activated = [](std::int64_t columns, DType dtype, bool aligned) {
    const Tensor a = make_random({9, 31}, 1, dtype), b = make_random({columns, 31}, 2, dtype);
    const Tensor bias = make_random({columns}, 3, dtype);
    const MatmulArgs args{.transpose_b = true,
                          .bias = aligned ? bias : unaligned(bias),
                          .activation = Activation::gelu_tanh,
                          .before_activation = make_empty({9, columns}, dtype)};
    const std::size_t fused = cublaslt_calls().activations;
    const Tensor c = product(a, b, args, dtype);
    return std::tuple(c, args.before_activation, cublaslt_calls().activations - fused);
  };
  for (const DType dtype : test_dtypes()) {
    if (!test_backend().fuses_activation(Activation::gelu_tanh, dtype)) continue;
    const auto [c, before, fused] = activated(24, dtype, true);
    EXPECT_EQ(fused, 1U);
    EXPECT_EQ(std::get<2>(activated(23, dtype, true)), 0U) << "cuBLASLt wants multiples of 8";
    const cuda_emulator::NoEpilogues none;
    const auto [c_apart, before_apart, fused_apart] = activated(24, dtype, false);
    EXPECT_EQ(fused_apart, 0U);
    EXPECT_TRUE(close(c_apart, c, 2 * tolerance_of(dtype, 1e-6)));
    EXPECT_TRUE(close(before_apart, before, 2 * tolerance_of(dtype, 1e-6)));
  }
}

TEST(CublasLtProducts, RoundToTf32OnRequestAlone) {
  const Tensor a = to_tensor({1 + 0x1p-12F}, {1, 1}), one = to_tensor({1}, {1, 1});
  EXPECT_EQ(to_vector(product(a, one, {}, DType::f32))[0], 1 + 0x1p-12F);
  set_cuda_options({.exact_attention_dropout = true, .tf32 = true});
  EXPECT_EQ(to_vector(product(a, one, {}, DType::f32))[0], 1.0F);
  set_cuda_options({.exact_attention_dropout = true});
  EXPECT_EQ(to_vector(product(a, one, {}, DType::f32))[0], 1 + 0x1p-12F);
}

TEST(CublasLtProducts, AreTimedOnRequestAtTheSecondUseAlone) {
  const Tensor a = make_random({41, 3}, 1), b = make_random({3, 11}, 2);
  // c = 1 + a b + a b + a b, and the products that cuBLASLt did for each step.
  const auto accumulate = [&](std::vector<std::size_t>& products) {
    Tensor c = make_empty({41, 11});
    backend(c).fill(c, 1);
    for (int i = 0; i < 3; ++i) {
      const std::size_t before = cublaslt_calls().products;
      backend(c).matmul(c, a, b, {.accumulate = true});
      products.push_back(cublaslt_calls().products - before);
    }
    return c;
  };
  std::vector<std::size_t> with_timing, without;
  set_cuda_options({.exact_attention_dropout = true, .time_products = true});
  const Tensor timed = accumulate(with_timing);
  set_cuda_options({.exact_attention_dropout = true});
  EXPECT_TRUE(same_bits(timed, accumulate(without)));
  EXPECT_EQ(with_timing[0], 1U);
  EXPECT_GT(with_timing[1], 1U);
  EXPECT_EQ(with_timing[2], 1U);
  EXPECT_EQ(without, (std::vector<std::size_t>{1, 1, 1}));
}

TEST(CublasLtProducts, AreNotTimedWhereTheBitsMustStay) {
  const Tensor a = make_random({43, 3}, 1), b = make_random({3, 11}, 2);
  set_cuda_options({.deterministic = true, .exact_attention_dropout = true, .time_products = true});
  const std::size_t before = cublaslt_calls().products;
  for (int i = 0; i < 2; ++i) product(a, b, {}, DType::f32);
  set_cuda_options({.exact_attention_dropout = true});
  EXPECT_EQ(cublaslt_calls().products, before + 2);
}

// A call of the library itself, right unless a test spoils it: D[3, 2] = A[3, k] B[k, 2] + bias, or
// GELU of that.
struct Call {
  cudaDataType_t ab_type = CUDA_R_16BF, d_type = CUDA_R_16BF;
  cublasComputeType_t compute_type = CUBLAS_COMPUTE_32F;
  std::int64_t k = 4, inner_of_b = 4, ld_of_a = 3;
  std::uint32_t alignment_of_a = 16;
  bool has_bias = true, overlap = false;
  std::uint64_t workspace_limit = 1024;
  std::size_t workspace = 0, offset_of_a = 0;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
  std::int64_t aux_ld = 8;
  std::ptrdiff_t aux = 896;  // in the memory; none where it is negative

  cuda_emulator::GpuBuffer<float> memory{std::vector<float>(1024)};

  cublasStatus_t choose() {
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&op, compute_type, CUDA_R_32F);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    if (epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, aux_ld);
      if (aux >= 0) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, memory.data() + aux);
    }
    if (has_bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, memory.data() + 768);
    cublasLtMatrixLayoutCreate(&a, ab_type, 3, static_cast<std::uint64_t>(k), ld_of_a);
    cublasLtMatrixLayoutCreate(&b, ab_type, static_cast<std::uint64_t>(inner_of_b), 2, inner_of_b);
    cublasLtMatrixLayoutCreate(&d, d_type, 3, 2, 3);
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtMatmulPreferenceCreate(&preference);
    for (const auto attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      cublasLtMatmulPreferenceSetAttribute(preference, attribute, &alignment_of_a,
                                           sizeof alignment_of_a);
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &workspace_limit, sizeof workspace_limit);
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, op, a, b, d, d, preference, 1, &chosen, &found);
    cublasLtMatmulPreferenceDestroy(preference);
    return status;
  }

  cublasStatus_t run() {
    const float alpha = 1, beta = 0;
    const auto* const at_a = reinterpret_cast<const char*>(memory.data()) + offset_of_a;
    float* const at_d = memory.data() + (overlap ? 4 : 512);
    return cublasLtMatmul(handle, op, &alpha, at_a, a, memory.data() + 256, b, &beta, at_d, d, at_d,
                          d, &chosen.algo, nullptr, workspace, nullptr);
  }

  template <class T>
  cublasStatus_t set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    return cublasLtMatmulDescSetAttribute(op, attribute, &value, sizeof value);
  }

  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    cublasLtMatmulDescDestroy(op);
    for (const cublasLtMatrixLayout_t layout : {a, b, d}) cublasLtMatrixLayoutDestroy(layout);
    cublasLtDestroy(handle);
  }

  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t op = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
  cublasLtMatmulHeuristicResult_t chosen{};
};

TEST(CublasLtStandIn, TakesARightCall) {
  Call call;
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
}

TEST(CublasLtStandIn, RefusesTypesThatDoNotGoTogether) {
  Call half_result;  // of f32 operands
  half_result.ab_type = CUDA_R_32F;
  EXPECT_EQ(half_result.choose(), CUBLAS_STATUS_NOT_SUPPORTED);
  Call mixed;  // 16-bit formats
  mixed.d_type = CUDA_R_16F;
  EXPECT_EQ(mixed.choose(), CUBLAS_STATUS_NOT_SUPPORTED);
  Call tf32;  // of bf16 operands
  tf32.compute_type = CUBLAS_COMPUTE_32F_FAST_TF32;
  EXPECT_EQ(tf32.choose(), CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST(CublasLtStandIn, RefusesShapesThatDoNotFit) {
  Call inner;
  inner.inner_of_b = 5;
  EXPECT_EQ(inner.choose(), CUBLAS_STATUS_INVALID_VALUE);
  Call narrow;
  narrow.ld_of_a = 2;
  EXPECT_EQ(narrow.choose(), CUBLAS_STATUS_INVALID_VALUE);
  Call odd;
  odd.alignment_of_a = 1;
  EXPECT_EQ(odd.choose(), CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST(CublasLtStandIn, RefusesAttributesOfAnotherSize) {
  Call call;
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.set(CUBLASLT_MATMUL_DESC_TRANSA, char{0}), CUBLAS_STATUS_INVALID_VALUE);
}

TEST(CublasLtStandIn, RefusesAnAlgorithmOfAnotherProblem) {
  Call call;
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
  EXPECT_EQ(call.run(), CUBLAS_STATUS_INVALID_VALUE);
}

TEST(CublasLtStandIn, KeepsToTheWorkspace) {
  Call limited;
  limited.k = limited.inner_of_b = 64;
  limited.workspace_limit = 0;
  ASSERT_EQ(limited.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(limited.run(), CUBLAS_STATUS_SUCCESS);
  Call missing;
  missing.k = missing.inner_of_b = 64;
  ASSERT_EQ(missing.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(missing.run(), CUBLAS_STATUS_INVALID_VALUE);
}

TEST(CublasLtStandIn, RefusesAMissingBias) {
  Call call;
  call.has_bias = false;
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.run(), CUBLAS_STATUS_INVALID_VALUE);
}

TEST(CublasLtStandIn, RefusesGeluWithoutARightPlaceForItsInput) {
  Call right;
  right.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  ASSERT_EQ(right.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(right.run(), CUBLAS_STATUS_SUCCESS);
  Call odd;  // no gap between the columns of 3
  odd.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  odd.aux_ld = 3;
  EXPECT_EQ(odd.choose(), CUBLAS_STATUS_INVALID_VALUE);
  Call missing;
  missing.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  missing.aux = -1;
  ASSERT_EQ(missing.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(missing.run(), CUBLAS_STATUS_INVALID_VALUE);
}

TEST(CublasLtStandInDeathTest, EndsWhatTheDeviceWouldNotSurvive) {
  Call unaligned;
  unaligned.offset_of_a = 8;
  ASSERT_EQ(unaligned.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_DEATH(unaligned.run(), "A is less aligned than was promised");
  Call overlapping;
  overlapping.overlap = true;
  ASSERT_EQ(overlapping.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_DEATH(overlapping.run(), "D overlaps A");
  Call twice;
  twice.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  twice.aux = 512;
  ASSERT_EQ(twice.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_DEATH(twice.run(), "GELU's input overlaps D");
  Call outside;
  outside.offset_of_a = std::size_t{1} << 12;
  ASSERT_EQ(outside.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_DEATH(outside.run(), "A is not within one piece of device memory");
}

}  // namespace
}  // namespace weft
