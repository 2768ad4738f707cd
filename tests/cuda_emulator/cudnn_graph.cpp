// Takes the place of core/backend/cuda/cudnn_graph.cpp: every graph has a plan, which the
// interpreter carries out in the order of the stream.
#include "core/backend/cuda/cudnn_graph.hpp"

#include <utility>
#include <vector>

#include "core/backend/cuda/runtime.hpp"
#include "tests/cuda_emulator/graph_interpreter.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"

namespace weft {

struct GraphPlan::State {
  graph::Graph graph;
};

GraphPlan::GraphPlan(std::unique_ptr<State> state) : state_(std::move(state)) {}
GraphPlan::~GraphPlan() = default;

std::size_t GraphPlan::workspace_bytes() const { return 64; }
std::int64_t GraphPlan::engine() const { return 0; }

void GraphPlan::run(std::span<const graph::Binding> memory, void*, cudaStream_t stream) const {
  const std::vector<graph::Binding> bindings(memory.begin(), memory.end());
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
  return std::make_unique<GraphPlan>(std::make_unique<GraphPlan::State>(GraphPlan::State{graph}));
}

}  // namespace weft
