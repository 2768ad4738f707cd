// Dropout.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/dropout_factors.cuh"
#include "core/backend/cuda/launch.cuh"

namespace weft {

namespace {

constexpr int kBlock = 256;

template <int N, class T>
__global__ void dropout_kernel(T* y, const T* x, DropoutFactors dropout, std::int64_t n) {
  for_packs<N>(n, [=]<int K>(std::integral_constant<int, K>, std::int64_t i) {
    float v[K], factors[K];
    load_pack<K>(v, x + i);
    dropout.draw(factors, i);
    for (int k = 0; k < K; ++k) v[k] *= factors[k];
    store_pack<K>(y + i, v);
  });
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
    with_pack<T>({&y, &x}, [&]<int N>(std::integral_constant<int, N>) {
      WEFT_LAUNCH((dropout_kernel<N, T>), blocks_for(n, kBlock * N), kBlock, 0, stream(),
                  y.data<T>(), x.data<T>(), factors, n);
    });
  });
}

}  // namespace weft
