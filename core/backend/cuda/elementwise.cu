// Filling, copying with conversion, sums and multiples. All are bound by memory: each thread moves
// a pack of elements at a time, 16 bytes of the widest type.
#include <algorithm>

#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/launch.cuh"
#include "core/backend/device_check.hpp"

namespace weft {

namespace {

constexpr int kBlock = 256;

// x = value: the `head` elements before the first multiple of 16 bytes one by one, then packs.
template <class T>
__global__ void fill_kernel(T* x, T value, std::int64_t head, std::int64_t n) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (thread < head) x[thread] = value;
  for_packs<kPackSize<T>>(n - head, [=]<int K>(std::integral_constant<int, K>, std::int64_t i) {
    Pack<T, K> pack;
    for (T& e : pack.v) e = value;
    *reinterpret_cast<Pack<T, K>*>(x + head + i) = pack;
  });
}

// y = alpha x, converted.
template <int N, class Y, class X>
__global__ void scale_kernel(Y* y, const X* x, float alpha, std::int64_t n) {
  for_packs<N>(n, [=]<int K>(std::integral_constant<int, K>, std::int64_t i) {
    float v[K];
    load_pack<K>(v, x + i);
    for (float& e : v) e *= alpha;
    store_pack<K>(y + i, v);
  });
}

// y = a + b.
template <int N, class Y, class A, class B>
__global__ void add_kernel(Y* y, const A* a, const B* b, std::int64_t n) {
  for_packs<N>(n, [=]<int K>(std::integral_constant<int, K>, std::int64_t i) {
    float va[K], vb[K];
    load_pack<K>(va, a + i);
    load_pack<K>(vb, b + i);
    for (int k = 0; k < K; ++k) va[k] += vb[k];
    store_pack<K>(y + i, va);
  });
}

template <class T>
void fill_with(Tensor& x, T value, cudaStream_t stream) {
  const std::int64_t n = x.numel();
  if (n == 0) return;
  const auto behind = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(x.raw()) % 16);
  const std::int64_t head = (16 - behind) % 16 / static_cast<std::int64_t>(sizeof(T));
  WEFT_LAUNCH((fill_kernel<T>), blocks_for(n, kBlock * kPackSize<T>), kBlock, 0, stream,
              static_cast<T*>(x.raw()), value, std::min(head, n), n);
}

void scale_into(Tensor& y, const Tensor& x, float alpha, std::string_view kernel,
                cudaStream_t stream) {
  const std::int64_t n = x.numel();
  if (n == 0) return;
  with_floating_type(y.dtype(), kernel, [&]<class Y>(Y) {
    with_floating_type(x.dtype(), kernel, [&]<class X>(X) {
      with_pack<Y, X>({&y, &x}, [&]<int N>(std::integral_constant<int, N>) {
        WEFT_LAUNCH((scale_kernel<N, Y, X>), blocks_for(n, kBlock * N), kBlock, 0, stream,
                    y.data<Y>(), x.data<X>(), alpha, n);
      });
    });
  });
}

}  // namespace

void CudaBackend::fill(Tensor& x, float value) {
  switch (x.dtype()) {
    case DType::f32:
      return fill_with(x, value, stream());
    case DType::bf16:
      return fill_with(x, bfloat16(value), stream());
    case DType::f16:
      return fill_with(x, float16(value), stream());
    case DType::i32:
      return fill_with(x, static_cast<std::int32_t>(value), stream());
    case DType::u8:
      return fill_with(x, static_cast<std::uint8_t>(value), stream());
    case DType::f64:
      return fill_with(x, static_cast<double>(value), stream());
  }
}

void CudaBackend::copy(Tensor& y, const Tensor& x) {
  if (y.device() != x.device()) {  // one of them is a host tensor
    const Tensor converted = [&] {
      if (x.dtype() == y.dtype()) return x;
      Tensor c(x.shape(), y.dtype(), x.device());
      backend(c).copy(c, x);
      return c;
    }();
    if (y.device().type == DeviceType::cpu) return download({&y, 1}, {&converted, 1});
    return upload(y, converted);
  }
  require_on(device(), "copy", y);
  if (y.dtype() != x.dtype()) return scale_into(y, x, 1, "copy", stream());
  check_cuda(cudaMemcpyAsync(y.raw(), x.raw(), x.bytes(), cudaMemcpyDeviceToDevice, stream()),
             "copying on the device");
}

void CudaBackend::add(Tensor& y, const Tensor& a, const Tensor& b) {
  const std::int64_t n = y.numel();
  if (n == 0) return;
  with_floating_type(y.dtype(), "add", [&]<class Y>(Y) {
    with_floating_type(a.dtype(), "add", [&]<class A>(A) {
      with_floating_type(b.dtype(), "add", [&]<class B>(B) {
        with_pack<Y, A, B>({&y, &a, &b}, [&]<int N>(std::integral_constant<int, N>) {
          WEFT_LAUNCH((add_kernel<N, Y, A, B>), blocks_for(n, kBlock * N), kBlock, 0, stream(),
                      y.data<Y>(), a.data<A>(), b.data<B>(), n);
        });
      });
    });
  });
}

void CudaBackend::scale(Tensor& y, const Tensor& x, float alpha) {
  scale_into(y, x, alpha, "scale", stream());
}

}  // namespace weft
