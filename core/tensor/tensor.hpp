// A contiguous typed view of a storage; no arithmetic.
#pragma once

#include <cassert>
#include <cstdint>
#include <memory>

#include "core/tensor/device.hpp"
#include "core/tensor/dtype.hpp"
#include "core/tensor/shape.hpp"
#include "core/tensor/storage.hpp"

namespace weft {

// What a tensor is made of, and where. A DType alone means the CPU.
struct TensorOptions {
  TensorOptions(DType d = DType::f32, Device where = {}) : dtype(d), device(where) {}

  DType dtype;
  Device device;
};

// Copying a Tensor is cheap and aliases. A default-constructed Tensor is empty: "none".
class Tensor {
 public:
  Tensor() = default;
  // Uninitialised memory.
  Tensor(Shape shape, DType dtype, Device device = {});
  Tensor(Shape shape, const TensorOptions& options)
      : Tensor(shape, options.dtype, options.device) {}

  // On the host, over memory that others own, too.
  Tensor(std::shared_ptr<void> memory, Shape shape, DType dtype);

  explicit operator bool() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_->device(); }
  std::int64_t numel() const { return shape_.numel(); }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype_); }
  Storage& storage() const { return *storage_; }
  // For caches of derived forms: tells when the memory is gone without keeping it.
  std::weak_ptr<const Storage> weak_storage() const { return storage_; }
  std::size_t byte_offset() const { return offset_; }

  template <class T>
  T* data() const {
    assert(dtype_of<T>::value == dtype_);
    return static_cast<T*>(raw());
  }
  void* raw() const {
    return storage_ ? static_cast<std::byte*>(storage_->data()) + offset_ : nullptr;
  }

  // The same elements under another shape of equal numel.
  Tensor reshape(Shape shape) const;
  // Elements [first, first + count) along dim 0.
  Tensor narrow(std::int64_t first, std::int64_t count) const;
  // Elements [first, first + shape.numel()) of the flat data, viewed as `shape`: bucket slices.
  Tensor slice_flat(std::int64_t first, Shape shape) const;

 private:
  std::shared_ptr<Storage> storage_;
  std::size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
};

inline Tensor empty_like(const Tensor& x) { return Tensor(x.shape(), x.dtype(), x.device()); }
inline Tensor empty_like(const Tensor& x, DType dtype) {
  return Tensor(x.shape(), dtype, x.device());
}

}  // namespace weft
