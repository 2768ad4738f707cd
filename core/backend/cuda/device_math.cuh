// What the kernels share: conversions to fp32 and back, accesses of 16 bytes, sums over a warp and
// over a block.
#pragma once

#include <cstdint>
#include <type_traits>

#include <cuda_runtime.h>

#include "core/base/philox.hpp"
#include "core/tensor/dtype.hpp"

#ifdef __CUDA_ARCH__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace weft {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

// Before a loop over arrays that are to stay in registers; before a loop whose loads are to be
// under way four at a time.
#ifdef __CUDA_ARCH__
#define WEFT_UNROLL _Pragma("unroll")
#define WEFT_UNROLL_BY_4 _Pragma("unroll 4")
#else
#define WEFT_UNROLL
#define WEFT_UNROLL_BY_4
#endif

// ---- random numbers -----------------------------------------------------------------------------

// in_step() of what no kernel writes: loaded once for all stores in between.
__device__ inline PhiloxKey key_in_step(PhiloxKey key, const std::int32_t* step) {
  if (step != nullptr) key.step = static_cast<std::uint32_t>(__ldg(step));
  return key;
}

// ---- elements -----------------------------------------------------------------------------------

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bfloat16 x) {
  return __uint_as_float(static_cast<std::uint32_t>(x.bits) << 16);
}
__device__ inline float to_float(float16 x) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(x.bits));
#else
  return static_cast<float>(x);
#endif
}

// Rounded to nearest even, as on the CPU; NaN stays NaN.
template <class T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline bfloat16 from_float<bfloat16>(float x) {
  bfloat16 y;
#ifdef __CUDA_ARCH__
  y.bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
  y.bits = bfloat16::round(x);
#endif
  return y;
}
template <>
__device__ inline float16 from_float<float16>(float x) {
  float16 y;
#ifdef __CUDA_ARCH__
  y.bits = __half_as_ushort(__float2half_rn(x));
#else
  y.bits = float16(x).bits;
#endif
  return y;
}

// ---- accesses of 16 bytes -----------------------------------------------------------------------

// N elements that move together, in one access when N * sizeof(T) is 16.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

template <class T>
inline constexpr int kPackSize = 16 / static_cast<int>(sizeof(T));

// `from` is aligned to 16 bytes, or to its N elements where they are fewer bytes.
template <int N, class T>
__device__ inline void load_pack(float (&out)[N], const T* from) {
  constexpr int kAtOnce = N < kPackSize<T> ? N : kPackSize<T>;
  WEFT_UNROLL
  for (int first = 0; first < N; first += kAtOnce) {
    const auto pack = *reinterpret_cast<const Pack<T, kAtOnce>*>(from + first);
    WEFT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) out[first + i] = to_float(pack.v[i]);
  }
}

template <int N, class T>
__device__ inline void store_pack(T* to, const float (&in)[N]) {
  constexpr int kAtOnce = N < kPackSize<T> ? N : kPackSize<T>;
  WEFT_UNROLL
  for (int first = 0; first < N; first += kAtOnce) {
    Pack<T, kAtOnce> pack;
    WEFT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) pack.v[i] = from_float<T>(in[first + i]);
    *reinterpret_cast<Pack<T, kAtOnce>*>(to + first) = pack;
  }
}

// ---- walks over the elements of arrays ----------------------------------------------------------

// Calls f(constant K, i) for elements i to i + K - 1: the packs of N that [0, n) has, then what is
// left over one by one. Of both, `thread` takes the first and every `threads`-th that follows.
template <int N, class F>
__device__ inline void for_packs(std::int64_t n, std::int64_t thread, std::int64_t threads,
                                 const F& f) {
  for (std::int64_t i = thread; i < n / N; i += threads) f(std::integral_constant<int, N>{}, i * N);
  for (std::int64_t i = n / N * N + thread; i < n; i += threads)
    f(std::integral_constant<int, 1>{}, i);
}

// The same by all threads of the grid.
template <int N, class F>
__device__ inline void for_packs(std::int64_t n, const F& f) {
  for_packs<N>(n, std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x,
               std::int64_t{gridDim.x} * blockDim.x, f);
}

// ---- sums ---------------------------------------------------------------------------------------

template <class T>
__device__ inline T warp_sum(T x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kAllLanes, x, offset);
  return x;
}

__device__ inline float warp_max(float x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, offset));
  return x;
}

// The sums of x[0], x[1] ... over a block of a whole number of warps, in every thread and with the
// same bits. `scratch` is shared memory of K * kWarp T; it may be used again after the next
// barrier.
template <int K, class T>
__device__ inline void block_sums(T (&x)[K], T* scratch) {
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  WEFT_UNROLL
  for (int k = 0; k < K; ++k) {
    x[k] = warp_sum(x[k]);
    if (lane == 0) scratch[k * kWarp + warp] = x[k];
  }
  __syncthreads();
  WEFT_UNROLL
  for (int k = 0; k < K; ++k)
    x[k] = warp_sum(lane < blockDim.x / kWarp ? scratch[k * kWarp + lane] : T(0));
}

template <class T>
__device__ inline T block_sum(T x, T* scratch) {
  T sums[1] = {x};
  block_sums(sums, scratch);
  return sums[0];
}

}  // namespace weft
