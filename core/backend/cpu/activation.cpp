// Activation functions, alone and fused with the bias before them.
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/float_rows.hpp"
#include "core/backend/cpu/sums.hpp"
#include "core/backend/cpu/vector_math.hpp"

namespace weft {

namespace {

// x Phi(x), Phi the normal distribution function.
//
// Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
struct Gelu {
  static float value(float x) { return 0.5F * x * (1 + fast_erf(x * 0.707106781F)); }
  static float slope(float x) { return fast_gelu_slope(x); }
};

// The same with Phi(x) taken as (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  static constexpr float kScale = 0.797884561F, kCube = 0.044715F;
  static float inner(float x) { return kScale * (x + kCube * x * x * x); }
  static float value(float x) { return 0.5F * x * (1 + fast_tanh(inner(x))); }
  // tanh u and 1 - tanh^2 u from e^-2|u|: as a difference the latter would lose its digits where
  // it is multiplied by x^3.
  static float slope(float x) {
    const float u = inner(x);
    const float e = fast_exp(-2 * (u < 0 ? -u : u));
    const float r = 1 / (1 + e);
    const float t = (1 - e) * r;
    const float slope_of_t = 4 * e * r * r * kScale * (1 + 3 * kCube * x * x);
    return 0.5F * (1 + (u < 0 ? -t : t)) + 0.5F * x * slope_of_t;
  }
};

struct Relu {
  static float value(float x) { return x < 0 ? 0 : x; }  // NaN stays NaN
  static float slope(float x) { return x > 0 ? 1.0F : 0.0F; }
};

struct Tanh {
  static float value(float x) { return fast_tanh(x); }
  static float slope(float x) {
    const float t = fast_tanh(x);
    return 1 - t * t;
  }
};

// Calls f(T{}, F{}) for the element type and the function.
template <class Body>
void with_activation(DType dtype, Activation f, Body&& body) {
  with_compute_type(dtype, "activation", [&](auto t) {
    switch (f) {
      case Activation::gelu:
        return body(t, Gelu{});
      case Activation::gelu_tanh:
        return body(t, GeluTanh{});
      case Activation::relu:
        return body(t, Relu{});
      case Activation::tanh:
        return body(t, Tanh{});
    }
  });
}

}  // namespace

void CpuBackend::activation_forward(Tensor& y, const Tensor& x, Activation f) {
  with_activation(x.dtype(), f, [&]<class T, class F>(T, F) {
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
  with_activation(x.dtype(), f, [&]<class T, class F>(T, F) {
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
  with_activation(x.dtype(), f, [&]<class T, class F>(T, F) {
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
  with_activation(x.dtype(), f, [&]<class T, class F>(T, F) {
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
