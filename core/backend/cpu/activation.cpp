// Activation functions, alone and fused with the bias before them.
#include "core/backend/activations.hpp"
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/float_rows.hpp"
#include "core/backend/cpu/sums.hpp"

namespace weft {

namespace {

// Calls body(T{}, F{}) for the element type and the function.
template <class Body>
void with_types(DType dtype, Activation f, Body&& body) {
  with_compute_type(dtype, "activation",
                    [&](auto t) { with_activation(f, [&](auto function) { body(t, function); }); });
}

}  // namespace

void CpuBackend::activation_forward(Tensor& y, const Tensor& x, Activation f) {
  with_types(x.dtype(), f, [&]<class T, class F>(T, F) {
    T* const py = y.data<T>();
    const T* const px = x.data<T>();
    parallel_ranges(x.numel(), 1, [=](std::int64_t first, std::int64_t last) {
      Scratch<T> scratch(kBlock);
      for_blocks(first, last, [&](std::int64_t at, std::int64_t n) {
        const float* const in = load_row(px + at, scratch, n);
        float* const out = open_row(py + at, scratch);
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) out[i] = F::value(in[i]);
        store_row(py + at, out, n);
      });
    });
  });
}

void CpuBackend::activation_backward(Tensor& dx, const Tensor& dy, const Tensor& x, Activation f) {
  with_types(x.dtype(), f, [&]<class T, class F>(T, F) {
    T* const pdx = dx.data<T>();
    const T *const pdy = dy.data<T>(), *const px = x.data<T>();
    parallel_ranges(x.numel(), 1, [=](std::int64_t first, std::int64_t last) {
      Scratch<T> scratch_x(kBlock), scratch_d(kBlock);
      for_blocks(first, last, [&](std::int64_t at, std::int64_t n) {
        const float* const in = load_row(px + at, scratch_x, n);
        const float* const d = load_row(pdy + at, scratch_d, n);
        float* const out = open_row(pdx + at, scratch_d);
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) out[i] = d[i] * F::slope(in[i]);
        store_row(pdx + at, out, n);
      });
    });
  });
}

void CpuBackend::bias_activation_forward(Tensor& y, const Tensor& x, const Tensor& bias,
                                         Activation f) {
  const std::int64_t rows = x.shape().rows(), columns = bias.numel();
  with_types(x.dtype(), f, [&]<class T, class F>(T, F) {
    T* const py = y.data<T>();
    const T *const px = x.data<T>(), *const pb = bias.data<T>();
    parallel_ranges(rows, columns, [=](std::int64_t first, std::int64_t last) {
      Scratch<T> scratch_b(columns), scratch(kBlock);
      const float* const b = load_row(pb, scratch_b, columns);
      for (std::int64_t row = first; row < last; ++row) {
        for_blocks(0, columns, [&](std::int64_t begin, std::int64_t n) {
          const std::int64_t at = row * columns + begin;
          const float* const in = load_row(px + at, scratch, n);
          float* const out = open_row(py + at, scratch);
#pragma omp simd
          for (std::int64_t i = 0; i < n; ++i) out[i] = F::value(in[i] + b[begin + i]);
          store_row(py + at, out, n);
        });
      }
    });
  });
}

void CpuBackend::bias_activation_backward(Tensor& dx, Tensor& dbias, const Tensor& dy,
                                          const Tensor& x, const Tensor& bias, Activation f) {
  const std::int64_t rows = x.shape().rows(), columns = bias.numel();
  with_types(x.dtype(), f, [&]<class T, class F>(T, F) {
    T* const pdx = dx.data<T>();
    const T *const pdy = dy.data<T>(), *const px = x.data<T>(), *const pb = bias.data<T>();
    const auto add_rows = [=](std::int64_t first, std::int64_t last, const auto& sums) {
      Scratch<T> scratch_b(columns), scratch_x(kBlock), scratch_d(kBlock);
      const float* const b = load_row(pb, scratch_b, columns);
      for (std::int64_t row = first; row < last; ++row) {
        for_blocks(0, columns, [&](std::int64_t begin, std::int64_t n) {
          const std::int64_t at = row * columns + begin;
          const float* const in = load_row(px + at, scratch_x, n);
          const float* const d = load_row(pdy + at, scratch_d, n);
          float* const out = open_row(pdx + at, scratch_d);
          float* const db = sums[0] + begin;
#pragma omp simd
          for (std::int64_t i = 0; i < n; ++i) {
            const float g = d[i] * F::slope(in[i] + b[begin + i]);
            out[i] = g;
            db[i] += g;
          }
          store_row(pdx + at, out, n);
        });
      }
    };
    column_sums<1>(rows, columns, {dbias.data<float>()}, add_rows);
  });
}

}  // namespace weft
