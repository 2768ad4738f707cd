// The element type at run time.
#pragma once

#include <string>
#include <string_view>

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

}  // namespace weft
