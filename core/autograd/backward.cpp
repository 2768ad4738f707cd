// The backward engine.
#include "core/autograd/backward.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {

// A gradient under way. Returned gradients may alias each other (a + b hands dy to both) or what an
// op keeps, so it is added to in place only when nobody else holds its memory, or when this is the
// place of the leaf, which is for its gradient alone.
struct Pending {
  Tensor grad;

  bool may_be_added_to(const Node& of) const {
    return is_place(grad, of) || grad.weak_storage().use_count() == 1;
  }

  void add(Tensor g, const Node& of) {
    if (!grad) {
      grad = std::move(g);
      return;
    }
    if (is_place(g, of)) std::swap(grad, g);
    const bool widen = grad.dtype() != g.dtype() && g.dtype() == DType::f32;
    if (!widen && may_be_added_to(of)) {
      backend(grad).add(grad, grad, g);
    } else {
      Tensor sum = empty_like(grad, widen ? DType::f32 : grad.dtype());
      backend(sum).add(sum, grad, g);
      grad = std::move(sum);
    }
  }

 private:
  static bool is_place(const Tensor& x, const Node& of) {
    return of.place && x.raw() == of.place.raw();
  }
};

using PendingGradients = std::unordered_map<const Node*, Pending>;

// The gradients that a backward() of this thread collects. A recomputed block has one of its own
// within another.
class Collecting {
 public:
  explicit Collecting(PendingGradients& pending)
      : pending_(pending), outer_(std::exchange(innermost, this)) {}
  ~Collecting() { innermost = outer_; }
  Collecting(const Collecting&) = delete;
  Collecting& operator=(const Collecting&) = delete;

  // What was collected so far, if it may be added to: the op that takes it returns the sum. Empty
  // otherwise.
  static Tensor take(const Node& of) {
    for (const Collecting* c = innermost; c != nullptr; c = c->outer_) {
      const auto it = c->pending_.find(&of);
      if (it == c->pending_.end() || !it->second.grad) continue;
      if (it->second.grad.dtype() != DType::f32 || !it->second.may_be_added_to(of)) continue;
      return std::move(it->second.grad);
    }
    return {};
  }

 private:
  static thread_local Collecting* innermost;
  PendingGradients& pending_;
  Collecting* outer_;
};

thread_local Collecting* Collecting::innermost = nullptr;

struct Graph {
  std::vector<std::shared_ptr<Node>> nodes;        // all but leaves, newest first
  std::unordered_map<const Node*, int> leaf_uses;  // edges into each leaf that are still to come
};

Graph collect(const std::vector<Root>& roots) {
  Graph graph;
  std::unordered_set<const Node*> seen;
  std::vector<std::shared_ptr<Node>> stack;
  for (const Root& root : roots) {
    const std::shared_ptr<Node>& node = root.var.node();
    if (seen.insert(node.get()).second && !node->is_leaf()) stack.push_back(node);
  }
  while (!stack.empty()) {
    const std::shared_ptr<Node> node = std::move(stack.back());
    stack.pop_back();
    for (const auto& input : node->inputs) {
      if (!input) continue;
      if (input->is_leaf()) ++graph.leaf_uses[input.get()];
      if (seen.insert(input.get()).second && !input->is_leaf()) stack.push_back(input);
    }
    graph.nodes.push_back(node);
  }
  std::sort(graph.nodes.begin(), graph.nodes.end(),
            [](const auto& a, const auto& b) { return a->id > b->id; });
  return graph;
}

Tensor ones_like(const Tensor& x) {
  Tensor one = empty_like(x);
  backend(one).fill(one, 1.0F);
  return one;
}

// Fills in an absent seed.
void check_seed(Root& root) {
  if (!root.seed) {
    if (root.var.value().numel() != 1) {
      throw Error(
          "backward: the root has shape " + root.var.shape().str() + " and no seed was given",
          "pass a seed of that shape, or start from a scalar");
    }
    root.seed = ones_like(root.var.value());
  }
  if (root.seed.shape().numel() != root.var.shape().numel()) {
    throw Error("backward: seed " + root.seed.shape().str() + " does not fit the root " +
                root.var.shape().str());
  }
}

}  // namespace

GradientPart gradient_part(Node& of, const Shape& shape, Device device) {
  if (const Tensor sum = Collecting::take(of)) {
    return {.sum = sum.reshape(shape), .accumulate = true};
  }
  if (of.place && !std::exchange(of.place_is_taken, true)) {
    return {.sum = of.place.reshape(shape), .accumulate = of.place_adds};
  }
  return {.sum = Tensor(shape, DType::f32, device)};
}

GradMap backward(std::vector<Root> roots, const LeafHook& on_leaf) {
  GradMap result;
  std::erase_if(roots, [](const Root& root) { return !root.var.requires_grad(); });
  for (Root& root : roots) check_seed(root);

  auto finish_leaf = [&](const Node* leaf, const Tensor& grad) {
    if (on_leaf)
      on_leaf(leaf, grad);
    else
      result.set(leaf, grad);
  };

  Graph graph = collect(roots);
  PendingGradients pending;
  const Collecting collecting(pending);
  for (Root& root : roots) {
    const Node& node = *root.var.node();
    pending[&node].add(std::move(root.seed), node);
  }
  for (const Root& root : roots) {
    const Node* node = root.var.node().get();
    if (!node->is_leaf() || graph.leaf_uses.contains(node) || !pending.contains(node)) continue;
    finish_leaf(node, pending[node].grad);
    pending.erase(node);
  }
  roots.clear();  // the last uses of the roots are those of the graph

  for (std::shared_ptr<Node>& node : graph.nodes) {
    Grads grads;
    if (const auto it = pending.find(node.get()); it != pending.end() && it->second.grad) {
      const Tensor dy = std::move(it->second.grad);
      pending.erase(it);
      grads = node->backward(dy);
    }
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      const std::shared_ptr<Node>& input = node->inputs[i];
      if (!input) continue;
      if (i < grads.size() && grads[i]) pending[input.get()].add(std::move(grads[i]), *input);
      if (!input->is_leaf() || --graph.leaf_uses[input.get()] > 0) continue;
      if (const auto it = pending.find(input.get()); it != pending.end()) {
        const Tensor grad = std::move(it->second.grad);
        pending.erase(it);
        finish_leaf(input.get(), grad);
      }
    }
    // Free what the node saved before the next one runs. It stays a non-leaf, so a second walk is
    // caught.
    node->backward = [name = node->name](const Tensor&) -> Grads {
      throw Error("backward: the graph of '" + std::string(name) + "' was walked before",
                  "run the forward pass again");
    };
    node->inputs.clear();
    node.reset();
  }
  return result;
}

}  // namespace weft
