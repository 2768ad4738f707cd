// The engine: walks the tape from a root, newest node first, and frees it on the way.
#pragma once

#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/autograd/var.hpp"

namespace weft {

// Gradients of leaves. An empty Tensor where none arrived.
class GradMap {
 public:
  Tensor operator[](const Var& leaf) const {
    const auto it = grads_.find(leaf.node().get());
    return it == grads_.end() ? Tensor{} : it->second;
  }
  void set(const Node* leaf, Tensor grad) { grads_[leaf] = std::move(grad); }

 private:
  std::unordered_map<const Node*, Tensor> grads_;
};

// Called once for each leaf that received a gradient, as soon as it is complete: data parallelism
// starts reducing here while backward runs on. The order is the same on every rank. A gradient that
// went to the hook is not kept in the returned map, so its memory is freed as soon as the hook lets
// go of it.
using LeafHook = std::function<void(const Node* leaf, const Tensor& grad)>;

// What to backpropagate from. `seed` is the gradient of the root, of its shape and dtype; without
// one the root must have a single element, and the seed is 1.
struct Root {
  Var var;
  Tensor seed = {};
};

// Where an op leaves its part of a leaf's f32 gradient. It returns `sum` as its gradient.
struct GradientPart {
  Tensor sum;
  bool accumulate = false;  // sum holds the parts of other ops, to be added to; else it is to be
                            // written, all of it
};

// For ops whose kernels can add, within backward(): what was collected of the gradient so far; or
// the place where it is wanted; or new memory.
GradientPart gradient_part(Node& of, const Shape& shape, Device device);

// Backpropagates from the sum of all roots, each weighted by its seed. A graph can be walked once.
GradMap backward(std::vector<Root> roots, const LeafHook& on_leaf = {});
inline GradMap backward(const Var& root, Tensor seed = {}, const LeafHook& on_leaf = {}) {
  return backward(std::vector<Root>{{root, std::move(seed)}}, on_leaf);
}

}  // namespace weft
