// Dropout.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/dropout_factors.cuh"
#include "core/backend/cuda/launch.cuh"

namespace weft {

namespace {

constexpr int kBlock = 256;

// The packs of N elements first, then what is left over.
template <int N, class T>
__global__ void dropout_kernel(T* y, const T* x, DropoutFactors dropout, std::int64_t n) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = thread; i < n / N; i += step) {
    float v[N], factors[N];
    load_pack<N>(v, x + i * N);
    dropout.draw(factors, i * N);
    for (int k = 0; k < N; ++k) v[k] *= factors[k];
    store_pack<N>(y + i * N, v);
  }
  for (std::int64_t i = n / N * N + thread; i < n; i += step) {
    float factor[1];
    dropout.draw(factor, i);
    y[i] = from_float<T>(to_float(x[i]) * factor[0]);
  }
}

}  // namespace

// Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
// JMLR 2014; scaled while training ("inverted") so that evaluation needs nothing.
void CudaBackend::dropout(Tensor& y, const Tensor& x, const Dropout& dropout) {
  const DropoutFactors factors(dropout);
  if (factors.is_identity()) {
    if (y.raw() != x.raw()) copy(y, x);
    return;
  }
  const std::int64_t n = x.numel();
  if (n == 0) return;
  with_floating_type(x.dtype(), "dropout", [&]<class T>(T) {
    with_pack({&y, &x}, [&]<int N>(std::integral_constant<int, N>) {
      if constexpr (kFits<N, T>) {
        WEFT_LAUNCH((dropout_kernel<N, T>), blocks_for(n, kBlock * N), kBlock, 0, stream(),
                    y.data<T>(), x.data<T>(), factors, n);
      }
    });
  });
}

}  // namespace weft
