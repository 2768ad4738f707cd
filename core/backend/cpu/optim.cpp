// Optimizer updates: as few passes over the state per step as the formulas allow, the copy in the
// compute dtype written on the way.
#include <algorithm>
#include <array>
#include <vector>

#include "core/backend/adam.hpp"
#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/cpu/past_caches.hpp"
#include "core/backend/cpu/sums.hpp"

#define WEFT_KERNELS "core/backend/cpu/optim.inc"
#include "core/backend/cpu/simd/for_each_level.inc"

namespace weft {

namespace {

std::size_t bytes_of_weights(std::span<const AdamTensors> parameters) {
  std::size_t bytes = 0;
  for (const AdamTensors& p : parameters) bytes += p.w.bytes();
  return bytes;
}

// Updates w by parts: update(first, last) does elements [first, last) of p.w, whose copy in the
// compute dtype is written while they are in the first-level cache.
template <class F>
void update_weights(const AdamTensors& p, std::string_view kernel, bool streams, const F& update) {
  const std::int64_t n = p.w.numel();
  if (!p.copy) return parallel_ranges(n, 1, update);
  const float* const w = p.w.data<float>();
  with_compute_type(p.copy.dtype(), kernel, [&]<class T>(T) {
    T* const copy = p.copy.data<T>();
    const auto copy_block = for_this_cpu(baseline::copy_block<T>, avx512::copy_block<T>);
    parallel_ranges(n, 1, [=](std::int64_t first, std::int64_t last) {
      for_blocks_of_lines(copy, first, last, [=](std::int64_t begin, std::int64_t count) {
        update(begin, begin + count);
        copy_block(copy + begin, w + begin, count, streams);
      });
      _mm_sfence();
    });
  });
}

}  // namespace

// w -= lr (Adam's direction + weight_decay w), the decay decoupled from the gradient.
//
// Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
void CpuBackend::adamw(std::span<const AdamTensors> parameters, const AdamArgs& args) {
  const Adam adam(args);
  const bool streams = is_beyond_caches(4 * bytes_of_weights(parameters));
  for (const AdamTensors& p : parameters) {
    float *pw = p.w.data<float>(), *pm = p.m.data<float>(), *pv = p.v.data<float>();
    const float* pg = p.g.data<float>();
    // Not w * (1 - lr decay): that factor, so near 1, would round away percents of the decay.
    const float lr = args.lr, decay = args.lr * p.weight_decay;
    update_weights(p, "adamw", streams, [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
      for (std::int64_t i = first; i < last; ++i)
        pw[i] -= lr * adam(pm[i], pv[i], pg[i]) + decay * pw[i];
    });
  }
}

namespace {

// m and v updated. Returns |w|^2 and |u|^2, summed by chunks whose u stays in the first-level
// cache.
std::array<double, 2> update_moments(const AdamTensors& p, const Adam& adam) {
  float *const m = p.m.data<float>(), *const v = p.v.data<float>();
  const float *const w = p.w.data<float>(), *const g = p.g.data<float>();
  const float decay = p.weight_decay;
  const std::int64_t n = p.w.numel();
  const std::int64_t chunks = (n + kSquaresChunk - 1) / kSquaresChunk;
  std::vector<std::array<double, 2>> parts(static_cast<std::size_t>(chunks));
  parallel_ranges(chunks, kSquaresChunk, [=, part = parts.data()](std::int64_t f, std::int64_t l) {
    std::array<float, kSquaresChunk> u;
    for (std::int64_t chunk = f; chunk < l; ++chunk) {
      const std::int64_t first = chunk * kSquaresChunk, count = std::min(kSquaresChunk, n - first);
#pragma omp simd
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t k = first + i;
        u[i] = adam(m[k], v[k], g[k]) + decay * w[k];
      }
      part[chunk] = {sum_of_squares(w + first, count), sum_of_squares(u.data(), count)};
    }
  });
  std::array<double, 2> sums = {};
  for (const auto& [w_squares, u_squares] : parts) {
    sums[0] += w_squares;
    sums[1] += u_squares;
  }
  return sums;
}

}  // namespace

// Of u = Adam's direction + weight_decay w only the norm is kept. lamb_apply makes u again: to read
// m and v for it moves as many bytes as to write and to read u, which would need memory.
//
// Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes",
// ICLR 2020.
void CpuBackend::lamb_moments(Tensor& squares, std::span<const AdamTensors> parameters,
                              const AdamArgs& args) {
  const Adam adam(args);
  double* to = squares.data<double>();
  for (const AdamTensors& p : parameters) {
    const std::array<double, 2> sums = update_moments(p, adam);
    to = std::copy(sums.begin(), sums.end(), to);
  }
}

void CpuBackend::lamb_apply(std::span<const AdamTensors> parameters, const Tensor& squares,
                            const AdamArgs& args) {
  const Adam adam(args);
  const bool streams = is_beyond_caches(3 * bytes_of_weights(parameters));
  const double* square = squares.data<double>();
  for (const AdamTensors& p : parameters) {
    float* pw = p.w.data<float>();
    const float *pm = p.m.data<float>(), *pv = p.v.data<float>();
    const float rate = lamb_rate(args.lr, square[0], square[1]), decay = p.weight_decay;
    square += 2;
    update_weights(p, "lamb_apply", streams, [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
      for (std::int64_t i = first; i < last; ++i)
        pw[i] -= rate * (adam.direction(pm[i], pv[i]) + decay * pw[i]);
    });
  }
}

}  // namespace weft
