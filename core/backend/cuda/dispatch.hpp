// The element type, and how many elements move together, at run time.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/base/error.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// Calls f(float{}), f(bfloat16{}) or f(float16{}) for the dtype; `kernel` names the caller in the
// error.
template <class F>
void with_floating_type(DType dtype, std::string_view kernel, F&& f) {
  if (dtype == DType::f32) return f(float{});
  if (dtype == DType::bf16) return f(bfloat16{});
  if (dtype == DType::f16) return f(float16{});
  throw Error(std::string(kernel) + ": no CUDA kernel for dtype " + std::string(name_of(dtype)),
              "f32, bf16 and f16 can be computed with");
}

inline bool aligned_for(std::size_t bytes, const Tensor& x) {
  return reinterpret_cast<std::uintptr_t>(x.raw()) % bytes == 0;
}

// Calls f with the elements that move together, as a constant: a pack of the widest type when all
// tensors begin at a multiple of a pack's bytes and a row of `columns` is a whole number of packs,
// else 1.
template <class F>
void with_pack(std::initializer_list<const Tensor*> tensors, std::int64_t columns, F&& f) {
  std::size_t widest = 0;
  for (const Tensor* t : tensors) widest = std::max(widest, size_of(t->dtype()));
  const std::size_t elements = 16 / widest;
  bool fits = columns % static_cast<std::int64_t>(elements) == 0;
  for (const Tensor* t : tensors) fits = fits && aligned_for(elements * size_of(t->dtype()), *t);
  if (!fits) return f(std::integral_constant<int, 1>{});
  if (elements == 8) return f(std::integral_constant<int, 8>{});
  f(std::integral_constant<int, 4>{});
}

// For kernels that take tensors as one long row and what a pack leaves over by itself.
template <class F>
void with_pack(std::initializer_list<const Tensor*> tensors, F&& f) {
  with_pack(tensors, 0, std::forward<F>(f));
}

// Packs of 8 are for 16-bit types alone.
template <int N, class... T>
inline constexpr bool kFits = ((N * sizeof(T) <= 16) && ...);

// The same for tensors of one type that are walked by rows of `columns` elements, or are one such
// row: a pack only when each row begins at a multiple of it. Empty tensors do not count.
template <class T, class F>
void with_row_pack(std::int64_t columns, std::initializer_list<const Tensor*> tensors, F&& f) {
  constexpr int kPack = 16 / static_cast<int>(sizeof(T));
  const bool fits =
      columns % kPack == 0 &&
      std::all_of(tensors.begin(), tensors.end(), [](auto* t) { return aligned_for(16, *t); });
  if (fits) return f(std::integral_constant<int, kPack>{});
  f(std::integral_constant<int, 1>{});
}

}  // namespace weft
