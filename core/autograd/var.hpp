// Var: a tensor and the node of the tape that made it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor/tensor.hpp"

namespace weft {

using Grads = std::vector<Tensor>;  // one per input; an empty Tensor means "none"
using Backward = std::function<Grads(const Tensor& dy)>;  // its captures ARE the saved activations

struct Node;

class Var {
 public:
  Var() = default;
  // A constant, or with requires_grad a leaf: something a gradient is wanted for.
  explicit Var(Tensor value, bool requires_grad = false);

  explicit operator bool() const { return static_cast<bool>(value_); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  DType dtype() const { return value_.dtype(); }
  bool requires_grad() const { return node_ != nullptr; }
  const std::shared_ptr<Node>& node() const { return node_; }

 private:
  friend Var record(std::string_view, Tensor, const std::vector<Var>&, Backward);
  Tensor value_;
  std::shared_ptr<Node> node_;
};

// One entry of the tape. Closures capture Tensors and at most nodes that are inputs, so nodes form
// no cycles.
struct Node {
  std::uint64_t id = 0;  // order of creation: the same on every rank
  std::string_view name;
  std::vector<std::shared_ptr<Node>> inputs;  // null where an input needs no gradient
  Backward backward;                          // empty for a leaf
  ~Node();                                    // iterative: a long chain would overflow the stack

  bool is_leaf() const { return !backward; }

  // Of a leaf: where its next gradient is wanted, f32 and of its shape; empty: anywhere. Ops ask
  // for it by gradient_part(). With `adds` it is to be added to what lies there: a gradient that
  // arrives at its place is the sum then.
  Tensor place = {};
  bool place_adds = false, place_is_taken = false;
  void want_gradient_at(Tensor where, bool adds = false) {
    place = std::move(where);
    place_adds = adds;
    place_is_taken = false;
  }
};

// Makes the Var of an op's output. `inputs` in the order of the gradients that `backward` returns.
// `name` must outlive the graph (a string literal). When no input requires a gradient, or within
// NoGrad, nothing is kept.
Var record(std::string_view name, Tensor y, const std::vector<Var>& inputs, Backward backward);

// While one lives on this thread, ops are not recorded: evaluation, and the first run of a
// recomputed block.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

}  // namespace weft
