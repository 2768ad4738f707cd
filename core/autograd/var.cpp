// The tape.
#include "core/autograd/var.hpp"

#include <atomic>
#include <utility>

namespace weft {

namespace {

thread_local bool recording = true;

std::uint64_t next_node_id() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

NoGrad::NoGrad() : previous_(std::exchange(recording, false)) {}
NoGrad::~NoGrad() { recording = previous_; }

Var::Var(Tensor value, bool requires_grad) : value_(std::move(value)) {
  if (!requires_grad) return;
  node_ = std::make_shared<Node>();
  node_->id = next_node_id();
  node_->name = "leaf";
}

Node::~Node() {
  std::vector<std::shared_ptr<Node>> pending = std::move(inputs);
  while (!pending.empty()) {
    std::shared_ptr<Node> node = std::move(pending.back());
    pending.pop_back();
    if (!node || node.use_count() != 1) continue;
    for (auto& input : node->inputs) pending.push_back(std::move(input));
    node->inputs.clear();
  }
}

Var record(std::string_view name, Tensor y, const std::vector<Var>& inputs, Backward backward) {
  Var out(std::move(y));
  bool needed = false;
  for (const Var& input : inputs) needed = needed || input.requires_grad();
  if (!recording || !needed) return out;

  out.node_ = std::make_shared<Node>();
  out.node_->id = next_node_id();
  out.node_->name = name;
  for (const Var& input : inputs) out.node_->inputs.push_back(input.node());
  out.node_->backward = std::move(backward);
  return out;
}

}  // namespace weft
