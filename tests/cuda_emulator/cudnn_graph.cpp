// Takes the place of core/backend/cuda/cudnn_graph.cpp: a plan is the graph itself, which the
// interpreter carries out in the order of the stream.
#include "core/backend/cuda/cudnn_graph.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/backend/cuda/runtime.hpp"
#include "tests/cuda_emulator/graph_interpreter.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"

namespace weft {

std::size_t cudnn_number() { return 99999; }  // later than any with known faults
std::string cudnn_version() { return "0.0.0"; }

struct GraphPlan::State {
  graph::Graph graph;
};

GraphPlan::GraphPlan(std::unique_ptr<State> state) : state_(std::move(state)) {}
GraphPlan::~GraphPlan() = default;

std::size_t GraphPlan::workspace_bytes() const { return 64; }
std::int64_t GraphPlan::engine() const { return 0; }

void GraphPlan::run(std::span<const graph::Binding> memory, void*, cudaStream_t stream) const {
  const std::vector<graph::Binding> bindings(memory.begin(), memory.end());
  for (const graph::Binding& binding : bindings) {
    if (reinterpret_cast<std::uintptr_t>(binding.memory) % 16 != 0)
      throw Error("cuDNN graph: value " + std::to_string(binding.id) + " is not aligned");
  }
  check_cuda(
      cuda_emulator::enqueue(stream, "cuDNN graph",
                             [graph = state_->graph, bindings] { interpret(graph, bindings); }),
      "running a graph");
}

struct GraphEngine::State {};

GraphEngine::GraphEngine() = default;
GraphEngine::GraphEngine(const std::string&) {}
GraphEngine::~GraphEngine() = default;

std::unique_ptr<GraphPlan> GraphEngine::plan(const graph::Graph& graph) const {
  // As on an A100: heads are multiples of 8 features, of up to 256, or 128 with products of five
  // kinds, which is the backward.
  const auto products = std::count_if(
      graph.operations().begin(), graph.operations().end(),
      [](const graph::Operation& o) { return std::holds_alternative<graph::Matmul>(o); });
  for (const graph::Node& node : graph.nodes()) {
    if (node.type != graph::Type::bf16 && node.type != graph::Type::f16) continue;
    if (node.place != graph::Place::memory) continue;
    const std::int64_t features = node.layout.dims[node.layout.strides[3] == 1 ? 3 : 2];
    if (features % 8 != 0 || features > (products == 5 ? 128 : 256))
      throw GraphRefused("no kernel for heads of " + std::to_string(features));
  }
  return std::make_unique<GraphPlan>(std::make_unique<GraphPlan::State>(GraphPlan::State{graph}));
}

}  // namespace weft
