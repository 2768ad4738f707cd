// What every CPU kernel's loop starts with: the element type at run time, and the work shared out
// among threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <omp.h>

#include "core/base/error.hpp"
#include "core/tensor/dtype.hpp"

namespace weft {

// Calls f(float{}) or f(bfloat16{}) for the dtype; `kernel` names the caller in the error.
template <class F>
void with_compute_type(DType dtype, std::string_view kernel, F&& f) {
  if (dtype == DType::f32) return f(float{});
  if (dtype == DType::bf16) return f(bfloat16{});
  throw Error(std::string(kernel) + ": no CPU kernel for dtype " + std::string(name_of(dtype)),
              "f32 and bf16 can be computed with");
}

// y = v, rounded to the element type. Loops that are `omp simd` store this way: there a temporary
// bfloat16 object keeps g++ from vectorising.
inline void store(float& y, float v) { y = v; }
inline void store(bfloat16& y, float v) { y.bits = bfloat16::round(v); }
inline void store(float16& y, float v) { y.bits = float16(v).bits; }

// Calls f(first, last) on contiguous parts of [0, n), one per thread; on this thread alone when
// n * cost (elements touched per item) is too little to be worth waking others.
template <class F>
void parallel_ranges(std::int64_t n, std::int64_t cost, F&& f) {
  constexpr std::int64_t kWorthAThread = 16384;
  const std::int64_t wanted = std::min(n, n * cost / kWorthAThread);
  const int threads = static_cast<int>(std::min<std::int64_t>(omp_get_max_threads(), wanted));
  if (threads <= 1 || omp_in_parallel()) {
    if (n > 0) f(std::int64_t{0}, n);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t part = omp_get_thread_num();
    const std::int64_t parts = omp_get_num_threads();
    const std::int64_t first = n * part / parts;
    const std::int64_t last = n * (part + 1) / parts;
    if (first < last) f(first, last);
  }
}

}  // namespace weft
