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

// Calls f with the elements that move together, as a constant: a pack of the widest of the
// types T, in which the kernel moves the tensors' elements, when all begin at a multiple of a
// pack's bytes and a row of `columns` is a whole number of packs; else 1. Empty tensors do not
// count.
template <class... T, class F>
void with_pack(std::initializer_list<const Tensor*> tensors, std::int64_t columns, F&& f) {
  constexpr int kPack = 16 / static_cast<int>(std::max({sizeof(T)...}));
  const auto aligned = [](const Tensor* x) {
    return aligned_for(std::min<std::size_t>(16, kPack * size_of(x->dtype())), *x);
  };
  if (columns % kPack == 0 && std::all_of(tensors.begin(), tensors.end(), aligned))
    return f(std::integral_constant<int, kPack>{});
  f(std::integral_constant<int, 1>{});
}

// For kernels that take tensors as one long row and what a pack leaves over by itself (for_packs).
template <class... T, class F>
void with_pack(std::initializer_list<const Tensor*> tensors, F&& f) {
  with_pack<T...>(tensors, 0, std::forward<F>(f));
}

}  // namespace weft
