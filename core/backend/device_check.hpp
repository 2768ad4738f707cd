// Refusing tensors that are somewhere else than a call takes them from.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// Throws Error naming `call`, the tensor and both places unless x is on the device.
inline void require_on(Device device, std::string_view call, const Tensor& x) {
  if (!x || x.device() == device) return;
  throw Error(std::string(call) + ": " + x.shape().str() + " " + std::string(name_of(x.dtype())) +
                  " is on " + x.device().str() + " and not on " + device.str(),
              "to_device() and to_host() copy tensors between devices");
}

inline void require_on(Device device, std::string_view call, std::span<const Tensor> xs) {
  for (const Tensor& x : xs) require_on(device, call, x);
}

}  // namespace weft
