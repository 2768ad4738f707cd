// Host memory in the place of a GPU's, for what only knows the host. A host tensor is used as it
// is.
#pragma once

#include "core/backend/transfer.hpp"

namespace weft {

// Calls work(host), which fills the tensor.
template <class Work>
void fill_on_host(Tensor& x, Work work) {
  if (x.device().type == DeviceType::cpu) return work(x);
  Tensor host(x.shape(), x.dtype());
  work(host);
  backend(x).upload(x, host);
}

// Calls work(host), which finds the tensor's values and may change them.
template <class Work>
void change_on_host(Tensor& x, Work work) {
  if (x.device().type == DeviceType::cpu) return work(x);
  Tensor host = to_host(x);
  work(host);
  backend(x).upload(x, host);
}

}  // namespace weft
