// Descriptors, of which cuDNN's backend API is made.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include <cudnn.h>

#include "core/backend/cuda/cudnn_graph.hpp"
#include "core/backend/cuda/tensor_graph.hpp"

namespace weft {

// cuDNN's name for a status and its last message.
std::string cudnn_reason(cudnnStatus_t status);

inline bool is_refusal(cudnnStatus_t status) {
  const int category = CUDNN_STATUS_CATEGORY(status);
  return category == CUDNN_STATUS_BAD_PARAM || category == CUDNN_STATUS_NOT_SUPPORTED;
}

// Throws Error naming `what` unless it is success.
void check_cudnn(cudnnStatus_t status, const std::string& what);

// Owns a descriptor. `what` names it in errors.
class CudnnDescriptor {
 public:
  CudnnDescriptor(cudnnBackendDescriptorType_t type, std::string what) : what_(std::move(what)) {
    check_cudnn(cudnnBackendCreateDescriptor(type, &raw_), what_);
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept
      : raw_(std::exchange(other.raw_, nullptr)), what_(std::move(other.what_)) {}
  CudnnDescriptor& operator=(CudnnDescriptor&&) = delete;
  ~CudnnDescriptor() {
    if (raw_ != nullptr) cudnnBackendDestroyDescriptor(raw_);
  }

  cudnnBackendDescriptor_t raw() const { return raw_; }
  const std::string& what() const { return what_; }

  CudnnDescriptor& set(cudnnBackendAttributeName_t name, std::int64_t value) {
    return set(name, CUDNN_TYPE_INT64, 1, &value);
  }
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, double value) {
    return set(name, CUDNN_TYPE_DOUBLE, 1, &value);
  }
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, bool value) {
    return set(name, CUDNN_TYPE_BOOLEAN, 1, &value);
  }
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, cudnnDataType_t value) {
    return set(name, CUDNN_TYPE_DATA_TYPE, 1, &value);
  }
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.raw_);
  }
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, const graph::Dims& values) {
    return set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data());
  }
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                       std::int64_t count, const void* values) {
    check_cudnn(cudnnBackendSetAttribute(raw_, name, type, count, values), what_);
    return *this;
  }
  // Throws GraphRefused for what cuDNN does not support or takes for wrong, Error for all else.
  CudnnDescriptor& finalize() {
    const cudnnStatus_t status = try_finalize();
    if (is_refusal(status)) throw GraphRefused("cuDNN, " + what_ + ": " + cudnn_reason(status));
    check_cudnn(status, what_);
    return *this;
  }
  cudnnStatus_t try_finalize() { return cudnnBackendFinalize(raw_); }

  std::int64_t get(cudnnBackendAttributeName_t name) const {
    std::int64_t value = 0, count = 0;
    check_cudnn(cudnnBackendGetAttribute(raw_, name, CUDNN_TYPE_INT64, 1, &count, &value), what_);
    return value;
  }
  // Fills descriptors that exist already; returns how many there are.
  std::int64_t get(cudnnBackendAttributeName_t name,
                   std::span<const cudnnBackendDescriptor_t> values) const {
    std::int64_t count = 0;
    check_cudnn(cudnnBackendGetAttribute(raw_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                         static_cast<std::int64_t>(values.size()), &count,
                                         const_cast<cudnnBackendDescriptor_t*>(values.data())),
                what_);
    return count;
  }

 private:
  cudnnBackendDescriptor_t raw_ = nullptr;
  std::string what_;
};

}  // namespace weft
