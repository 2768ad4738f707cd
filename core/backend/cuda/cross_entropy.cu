// Softmax cross entropy over a slice of the vocabulary; probabilities are never stored. Forward
// reads each logit once, backward reads it and writes its gradient in the same place.
#include <cmath>
#include <limits>

#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/launch.cuh"

namespace weft {

namespace {

constexpr int kBlock = 256;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// ---- rows of any length and alignment -----------------------------------------------------------

// Elements of a row before the first multiple of 16 bytes.
template <class T>
__device__ int head_of(const T* row, int columns) {
  const auto beyond = reinterpret_cast<std::uintptr_t>(row) % 16;
  const int head = static_cast<int>((16 - beyond) % 16 / sizeof(T));
  return head < columns ? head : columns;
}

// The block calls f(column, constant N) so that the ranges [column, column + N) cover the row once:
// one by one for the first `head` columns and the last few, in packs between.
template <class T, class F>
__device__ void for_packs(int columns, int head, F&& f) {
  constexpr int N = kPackSize<T>;
  const int thread = static_cast<int>(threadIdx.x), packs = (columns - head) / N;
  for (int c = thread; c < head; c += kBlock) f(c, std::integral_constant<int, 1>{});
  for (int p = thread; p < packs; p += kBlock) f(head + p * N, std::integral_constant<int, N>{});
  for (int c = head + packs * N + thread; c < columns; c += kBlock)
    f(c, std::integral_constant<int, 1>{});
}

// ---- forward ------------------------------------------------------------------------------------

// A maximum and the sum of exp(value - maximum): the part of a log-sum-exp that has been seen.
//
// Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
struct LogSum {
  float maximum = -kInfinity;  // of what is not NaN
  float sum = 0;

  // What values relative to the maximum are measured from; finite, so that a part without any
  // finite value counts as nothing instead of as -inf - -inf = NaN.
  __device__ static float origin_of(float maximum) { return maximum == -kInfinity ? 0 : maximum; }

  __device__ void add(const LogSum& other) {
    const float highest = fmaxf(maximum, other.maximum), origin = origin_of(highest);
    sum = sum * expf(maximum - origin) + other.sum * expf(other.maximum - origin);
    maximum = highest;
  }

  // The fast exponential errs by more than a rounding only where the term is small beside the
  // sum; the precise one would take longer than memory does.
  template <int N>
  __device__ void add_values(const float (&x)[N]) {
    float highest = maximum;
    for (int k = 0; k < N; ++k) highest = fmaxf(highest, x[k]);
    const float origin = origin_of(highest);
    sum *= __expf(maximum - origin);
    for (int k = 0; k < N; ++k) sum += __expf(x[k] - origin);
    maximum = highest;
  }

  __device__ LogSum from_lane(int distance) const {
    LogSum other;
    other.maximum = __shfl_xor_sync(kAllLanes, maximum, distance);
    other.sum = __shfl_xor_sync(kAllLanes, sum, distance);
    return other;
  }
};

// One block per row.
template <class T>
__global__ void __launch_bounds__(kBlock)
    cross_entropy_parts_kernel(float* parts_N3, const T* logits, const std::int32_t* targets,
                               int columns, std::int64_t first_column) {
  const std::int64_t n = blockIdx.x;
  const std::int64_t target = targets[n];
  LogSum all;
  if (target >= 0) {  // an ignored row is not even read
    const T* const row = logits + n * columns;
    for_packs<T>(columns, head_of(row, columns), [&]<int N>(int c, std::integral_constant<int, N>) {
      float x[N];
      load_pack<N>(x, row + c);
      all.add_values(x);
    });
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) all.add(all.from_lane(distance));
  __shared__ float maxima[kBlock / kWarp], sums[kBlock / kWarp];
  if (threadIdx.x % kWarp == 0) {
    maxima[threadIdx.x / kWarp] = all.maximum;
    sums[threadIdx.x / kWarp] = all.sum;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kBlock / kWarp; ++w) all.add({maxima[w], sums[w]});
  const std::int64_t c = target - first_column;
  float* const part = parts_N3 + 3 * n;
  part[0] = all.maximum;
  part[1] = all.sum;
  part[2] = target >= 0 && c >= 0 && c < columns ? to_float(logits[n * columns + c]) : -kInfinity;
}

// Each block sums the losses and the hits of its rows: block_sums [blocks, 2].
__global__ void __launch_bounds__(kBlock)
    cross_entropy_join_kernel(double* block_sums, float* lse_N, const float* parts_tN3,
                              const std::int32_t* targets, std::int64_t rows, std::int64_t ranks) {
  const std::int64_t n = std::int64_t{blockIdx.x} * kBlock + threadIdx.x;
  double loss = 0, correct = 0;
  if (n < rows) {
    float lse = 0;
    if (targets[n] >= 0) {
      LogSum all;
      float logit = -kInfinity;
      for (std::int64_t r = 0; r < ranks; ++r) {
        const float* const part = parts_tN3 + 3 * (r * rows + n);
        all.add({part[0], part[1]});
        logit = part[2] > logit ? part[2] : logit;
      }
      const double log_of_sum = std::log(double{all.sum});
      lse = static_cast<float>(double{all.maximum} + log_of_sum);
      loss = double{all.maximum} - double{logit} + log_of_sum;
      correct = logit == all.maximum ? 1 : 0;
    }
    lse_N[n] = lse;
  }
  __shared__ double loss_scratch[kBlock / kWarp], correct_scratch[kBlock / kWarp];
  loss = block_sum(loss, loss_scratch);
  correct = block_sum(correct, correct_scratch);
  if (threadIdx.x == 0) {
    block_sums[2 * blockIdx.x] = loss;
    block_sums[2 * blockIdx.x + 1] = correct;
  }
}

// One block: sums = the sum of all blocks' sums.
__global__ void __launch_bounds__(kBlock)
    cross_entropy_total_kernel(float* sums, const double* block_sums, std::int64_t blocks) {
  double loss = 0, correct = 0;
  for (std::int64_t b = threadIdx.x; b < blocks; b += kBlock) {
    loss += block_sums[2 * b];
    correct += block_sums[2 * b + 1];
  }
  __shared__ double loss_scratch[kBlock / kWarp], correct_scratch[kBlock / kWarp];
  loss = block_sum(loss, loss_scratch);
  correct = block_sum(correct, correct_scratch);
  if (threadIdx.x == 0) {
    sums[0] = static_cast<float>(loss);
    sums[1] = static_cast<float>(correct);
  }
}

// ---- backward -----------------------------------------------------------------------------------

// One block per row: d = (exp(logits - lse) - onehot(target)) * scale. d may be logits, for every
// thread writes what it alone has read.
template <class T>
__global__ void __launch_bounds__(kBlock)
    cross_entropy_backward_kernel(T* dlogits, const T* logits, const std::int32_t* targets,
                                  const float* lse_N, const float* scale, int columns,
                                  std::int64_t first_column) {
  const std::int64_t n = blockIdx.x;
  T* const d = dlogits + n * columns;
  const T* const row = logits + n * columns;
  const bool ignored = targets[n] < 0;
  const std::int64_t target = targets[n] - first_column;
  const float shift = lse_N[n], factor = scale[0];
  const bool alike =
      (reinterpret_cast<std::uintptr_t>(d) - reinterpret_cast<std::uintptr_t>(row)) % 16 == 0;
  for_packs<T>(columns, alike ? head_of(row, columns) : columns,
               [&]<int N>(int c, std::integral_constant<int, N>) {
                 float x[N];
                 if (ignored) {
                   for (int k = 0; k < N; ++k) x[k] = 0;
                 } else {
                   load_pack<N>(x, row + c);
                   for (int k = 0; k < N; ++k)
                     x[k] = (expf(x[k] - shift) - (c + k == target ? 1.0F : 0.0F)) * factor;
                 }
                 store_pack<N>(d + c, x);
               });
}

}  // namespace

void CudaBackend::cross_entropy_parts(Tensor& parts_N3, const Tensor& logits_NV,
                                      const Tensor& targets_N, std::int64_t first_column) {
  const std::int64_t rows = targets_N.numel();
  if (rows == 0) return;
  with_floating_type(logits_NV.dtype(), "cross_entropy", [&]<class T>(T) {
    WEFT_LAUNCH((cross_entropy_parts_kernel<T>), static_cast<unsigned>(rows), kBlock, 0, stream(),
                parts_N3.data<float>(), logits_NV.data<T>(), targets_N.data<std::int32_t>(),
                static_cast<int>(logits_NV.shape().last()), first_column);
  });
}

void CudaBackend::cross_entropy_join(Tensor& sums, Tensor& lse_N, const Tensor& parts_tN3,
                                     const Tensor& targets_N) {
  const std::int64_t rows = targets_N.numel(), blocks = (rows + kBlock - 1) / kBlock;
  const Tensor block_sums = scratch({blocks, 2}, DType::f64);
  if (rows > 0) {
    WEFT_LAUNCH(cross_entropy_join_kernel, static_cast<unsigned>(blocks), kBlock, 0, stream(),
                block_sums.data<double>(), lse_N.data<float>(), parts_tN3.data<float>(),
                targets_N.data<std::int32_t>(), rows, parts_tN3.numel() / (3 * rows));
  }
  WEFT_LAUNCH(cross_entropy_total_kernel, 1, kBlock, 0, stream(), sums.data<float>(),
              block_sums.data<double>(), blocks);
}

void CudaBackend::cross_entropy_backward(Tensor& dlogits, const Tensor& logits_NV,
                                         const Tensor& targets_N, const Tensor& lse_N,
                                         const Tensor& scale, std::int64_t first_column) {
  const std::int64_t rows = targets_N.numel();
  if (rows == 0) return;
  with_floating_type(logits_NV.dtype(), "cross_entropy", [&]<class T>(T) {
    WEFT_LAUNCH((cross_entropy_backward_kernel<T>), static_cast<unsigned>(rows), kBlock, 0,
                stream(), dlogits.data<T>(), logits_NV.data<T>(), targets_N.data<std::int32_t>(),
                lse_N.data<float>(), scale.data<float>(),
                static_cast<int>(logits_NV.shape().last()), first_column);
  });
}

}  // namespace weft
