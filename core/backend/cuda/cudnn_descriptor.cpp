// Descriptors, of which cuDNN's backend API is made.
#include "core/backend/cuda/cudnn_descriptor.hpp"

#include <array>

#include "core/base/error.hpp"

namespace weft {

std::string cudnn_reason(cudnnStatus_t status) {
  std::array<char, 2048> text = {};
  cudnnGetLastErrorString(text.data(), text.size());
  const std::string name = cudnnGetErrorString(status);
  return text[0] == 0 ? name : name + ": " + text.data();
}

void check_cudnn(cudnnStatus_t status, const std::string& what) {
  if (status != CUDNN_STATUS_SUCCESS) throw Error("cuDNN, " + what + ": " + cudnn_reason(status));
}

}  // namespace weft
