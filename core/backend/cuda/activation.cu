// Activation functions, alone and fused with the bias before them.
#include "core/backend/activations.hpp"
#include "core/backend/cuda/column_sums.cuh"
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/dispatch.hpp"

namespace weft {

namespace {

constexpr int kBlock = 256;

// y = f(x).
template <int N, class F, class T>
__global__ void activation_forward_kernel(T* y, const T* x, std::int64_t n) {
  for_packs<N>(n, [=]<int K>(std::integral_constant<int, K>, std::int64_t i) {
    float v[K];
    load_pack<K>(v, x + i);
    for (float& e : v) e = F::value(e);
    store_pack<K>(y + i, v);
  });
}

// dx = dy f'(x).
template <int N, class F, class T>
__global__ void activation_backward_kernel(T* dx, const T* dy, const T* x, std::int64_t n) {
  for_packs<N>(n, [=]<int K>(std::integral_constant<int, K>, std::int64_t i) {
    float d[K], v[K];
    load_pack<K>(d, dy + i);
    load_pack<K>(v, x + i);
    for (int k = 0; k < K; ++k) d[k] *= F::slope(v[k]);
    store_pack<K>(dx + i, d);
  });
}

// y = f(x + bias). A thread keeps its bias while it walks down its columns.
template <int N, class F, class T>
__global__ void bias_activation_forward_kernel(T* y, const T* x, const T* bias, MatrixCut cut) {
  const ColumnsOfThread<N> mine(cut);
  if (mine.first_row >= mine.last_row) return;
  float b[N];
  load_pack<N>(b, bias + mine.column);
  for (std::int64_t row = mine.first_row; row < mine.last_row; row += kColumnWarps) {
    const std::int64_t at = row * cut.columns + mine.column;
    float v[N];
    load_pack<N>(v, x + at);
    for (int k = 0; k < N; ++k) v[k] = F::value(v[k] + b[k]);
    store_pack<N>(y + at, v);
  }
}

// dx = dy f'(x + bias) and, while it is in registers, the sums of its columns.
template <int N, class F, class T>
__global__ void bias_activation_backward_kernel(T* dx, ColumnTargets<1> dbias, const T* dy,
                                                const T* x, const T* bias, MatrixCut cut) {
  const ColumnsOfThread<N> mine(cut);
  float sums[1][N] = {};
  if (mine.first_row < mine.last_row) {
    float b[N];
    load_pack<N>(b, bias + mine.column);
    for (std::int64_t row = mine.first_row; row < mine.last_row; row += kColumnWarps) {
      const std::int64_t at = row * cut.columns + mine.column;
      float d[N], v[N];
      load_pack<N>(d, dy + at);
      load_pack<N>(v, x + at);
      for (int k = 0; k < N; ++k) {
        d[k] *= F::slope(v[k] + b[k]);
        sums[0][k] += d[k];
      }
      store_pack<N>(dx + at, d);
    }
  }
  write_column_sums(dbias, cut, sums);
}

// Calls body(T{}, F{}) for the element type and the function.
template <class Body>
void with_types(DType dtype, Activation f, Body&& body) {
  with_floating_type(dtype, "activation", [&](auto t) {
    with_activation(f, [&](auto function) { body(t, function); });
  });
}

}  // namespace

void CudaBackend::activation_forward(Tensor& y, const Tensor& x, Activation f) {
  const std::int64_t n = x.numel();
  if (n == 0) return;
  with_types(x.dtype(), f, [&]<class T, class F>(T, F) {
    with_pack<T>({&y, &x}, [&]<int N>(std::integral_constant<int, N>) {
      WEFT_LAUNCH((activation_forward_kernel<N, F, T>), blocks_for(n, kBlock * N), kBlock, 0,
                  stream(), y.data<T>(), x.data<T>(), n);
    });
  });
}

void CudaBackend::activation_backward(Tensor& dx, const Tensor& dy, const Tensor& x, Activation f) {
  const std::int64_t n = x.numel();
  if (n == 0) return;
  with_types(x.dtype(), f, [&]<class T, class F>(T, F) {
    with_pack<T>({&dx, &dy, &x}, [&]<int N>(std::integral_constant<int, N>) {
      WEFT_LAUNCH((activation_backward_kernel<N, F, T>), blocks_for(n, kBlock * N), kBlock, 0,
                  stream(), dx.data<T>(), dy.data<T>(), x.data<T>(), n);
    });
  });
}

void CudaBackend::bias_activation_forward(Tensor& y, const Tensor& x, const Tensor& bias,
                                          Activation f) {
  const std::int64_t columns = bias.numel();
  if (x.numel() == 0) return;
  with_types(x.dtype(), f, [&]<class T, class F>(T, F) {
    with_pack<T>({&y, &x, &bias}, columns, [&]<int N>(std::integral_constant<int, N>) {
      const MatrixCut cut(x.numel() / columns, columns, N,
                          kColumnBlocks * runtime_.properties().multiProcessorCount);
      WEFT_LAUNCH((bias_activation_forward_kernel<N, F, T>), cut.grid(), kColumnBlock, 0, stream(),
                  y.data<T>(), x.data<T>(), bias.data<T>(), cut);
    });
  });
}

void CudaBackend::bias_activation_backward(Tensor& dx, Tensor& dbias, const Tensor& dy,
                                           const Tensor& x, const Tensor& bias, Activation f) {
  const std::int64_t columns = bias.numel();
  if (columns == 0) return;
  with_types(x.dtype(), f, [&]<class T, class F>(T, F) {
    with_pack<T>({&dx, &dy, &x, &bias}, columns, [&]<int N>(std::integral_constant<int, N>) {
      const MatrixCut cut(x.numel() / columns, columns, N,
                          kSummingBlocks * runtime_.properties().multiProcessorCount);
      column_sums<1>({dbias.data<float>()}, cut.parts, columns, device(), stream(),
                     [&](const ColumnTargets<1>& targets) {
                       WEFT_LAUNCH((bias_activation_backward_kernel<N, F, T>), cut.grid(),
                                   kColumnBlock, 0, stream(), dx.data<T>(), targets, dy.data<T>(),
                                   x.data<T>(), bias.data<T>(), cut);
                     });
    });
  });
}

}  // namespace weft
