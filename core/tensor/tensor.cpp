// Views of a storage.
#include "core/tensor/tensor.hpp"

#include <utility>

namespace weft {

Tensor::Tensor(Shape shape, DType dtype, Device device)
    : storage_(std::make_shared<Storage>(static_cast<std::size_t>(shape.numel()) * size_of(dtype),
                                         device)),
      shape_(shape),
      dtype_(dtype) {}

Tensor::Tensor(std::shared_ptr<void> memory, Shape shape, DType dtype)
    : storage_(std::make_shared<Storage>(std::move(memory),
                                         static_cast<std::size_t>(shape.numel()) * size_of(dtype))),
      shape_(shape),
      dtype_(dtype) {}

Tensor Tensor::reshape(Shape shape) const {
  assert(shape.numel() == numel());
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::narrow(std::int64_t first, std::int64_t count) const {
  assert(shape_.rank() > 0 && first >= 0 && count >= 0 && first + count <= shape_[0]);
  const std::int64_t row = shape_[0] == 0 ? 0 : numel() / shape_[0];
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  for (int i = 0; i < shape_.rank(); ++i) dims[static_cast<std::size_t>(i)] = shape_[i];
  dims[0] = count;
  Tensor t = *this;
  t.shape_ =
      Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(shape_.rank())));
  t.offset_ += static_cast<std::size_t>(first * row) * size_of(dtype_);
  return t;
}

Tensor Tensor::slice_flat(std::int64_t first, Shape shape) const {
  assert(first >= 0 && first + shape.numel() <= numel());
  Tensor t = *this;
  t.shape_ = shape;
  t.offset_ += static_cast<std::size_t>(first) * size_of(dtype_);
  return t;
}

}  // namespace weft
