// The arithmetic: operands are widened to fp32 and multiplied in tiles.
#include "tests/cuda_emulator/cublaslt_product.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/tensor/dtype.hpp"

namespace cuda_emulator {

namespace {

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

// The tanh form, as the original's.
float gelu_tanh(float x) {
  return 0.5F * x * (1 + std::tanh(0.7978845608F * (x + 0.044715F * x * x * x)));
}

}  // namespace

void Product::operator()() const {
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

void Product::tile(const float* wide_a, const float* wide_b, std::int64_t k, std::int64_t first_row,
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
      if (op.epilogue & CUBLASLT_EPILOGUE_BIAS) value += load(op.bias, d_layout.type, row);
      if (op.epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) {
        store(op.aux, d_layout.type, column * op.aux_ld + row, value);
        value = gelu_tanh(value);
      }
      store(d, d_layout.type, column * d_layout.ld + row, value);
    }
  }
}

}  // namespace cuda_emulator
