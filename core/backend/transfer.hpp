// Tensors between host and device.
#pragma once

#include <vector>

#include "core/backend/backend.hpp"

namespace weft {

// x itself when it is there already, otherwise a copy. An empty Tensor stays empty.
Tensor to_device(const Tensor& x, Device device);
Tensor to_host(const Tensor& x);
// All with one wait. The tensors are on one device.
std::vector<Tensor> to_host(const std::vector<Tensor>& xs);

// The sum of squares of each tensor, f64 [n], left on their device; empty for no tensors.
Tensor squared_norms_on_device(const std::vector<Tensor>& xs);
// The same on the host: with one wait.
std::vector<double> squared_norms(const std::vector<Tensor>& xs);

}  // namespace weft
