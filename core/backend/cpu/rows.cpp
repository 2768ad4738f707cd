// Picking rows of a matrix, and adding rows back to where they were picked.
#include <cstring>

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/loops.hpp"

namespace weft {

void CpuBackend::gather_rows(Tensor& y, const Tensor& x, const Tensor& index,
                             std::int64_t first_row) {
  assert(x.dtype() == y.dtype() && y.numel() == index.numel() * x.shape().last());
  const std::int64_t rows = x.shape().rows(), columns = x.shape().last();
  const std::size_t row_bytes = static_cast<std::size_t>(columns) * size_of(x.dtype());
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(y.raw());
  const auto* ids = index.data<std::int32_t>();
  parallel_ranges(index.numel(), columns, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t n = first; n < last; ++n) {
      const std::int64_t row = ids[n] - first_row;
      std::byte* target = to + static_cast<std::size_t>(n) * row_bytes;
      if (row >= 0 && row < rows)
        std::memcpy(target, from + static_cast<std::size_t>(row) * row_bytes, row_bytes);
      else
        std::memset(target, 0, row_bytes);
    }
  });
}

namespace {

// Each thread adds its own columns of all rows, so that every sum has one order.
template <class Sum, class T>
void add_rows(Sum* dx, std::int64_t rows, std::int64_t columns, const T* dy, const Tensor& index,
              std::int64_t first_row) {
  constexpr std::int64_t kStrip = 64 / sizeof(Sum);  // one cache line: no two threads share any
  const std::int64_t count = index.numel();
  const auto* ids = index.data<std::int32_t>();
  const std::int64_t strips = (columns + kStrip - 1) / kStrip;
  parallel_ranges(strips, count * kStrip, [&](std::int64_t first_strip, std::int64_t last_strip) {
    const std::int64_t first = first_strip * kStrip;
    const std::int64_t last = std::min(columns, last_strip * kStrip);
    for (std::int64_t n = 0; n < count; ++n) {
      const std::int64_t row = ids[n] - first_row;
      if (row < 0 || row >= rows) continue;
      Sum* to = dx + row * columns;
      const T* from = dy + n * columns;
      for (std::int64_t c = first; c < last; ++c)
        to[c] = static_cast<Sum>(static_cast<float>(to[c]) + static_cast<float>(from[c]));
    }
  });
}

}  // namespace

void CpuBackend::scatter_add_rows(Tensor& dx, const Tensor& dy, const Tensor& index,
                                  std::int64_t first_row, bool accumulate) {
  assert(dx.dtype() == dy.dtype() || dx.dtype() == DType::f32);
  assert(dy.numel() == index.numel() * dx.shape().last());
  if (!accumulate) fill(dx, 0.0F);
  with_compute_type(dx.dtype(), "scatter_add_rows", [&](auto sum) {
    with_compute_type(dy.dtype(), "scatter_add_rows", [&](auto element) {
      add_rows(dx.data<decltype(sum)>(), dx.shape().rows(), dx.shape().last(),
               dy.data<decltype(element)>(), index, first_row);
    });
  });
}

void CpuBackend::count_up(Tensor& y, std::int64_t period, std::int64_t stride) {
  auto* const py = y.data<std::int32_t>();
  parallel_ranges(y.numel(), 1, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i)
      py[i] = static_cast<std::int32_t>(i % period * stride);
  });
}

}  // namespace weft
