// Computation graphs planned and run by cuDNN, through its backend API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <cuda_runtime.h>

#include "core/backend/cuda/tensor_graph.hpp"
#include "core/base/error.hpp"

namespace weft {

std::size_t cudnn_number();   // 91900
std::string cudnn_version();  // "9.19.0"

// cuDNN has no kernel for a graph; the message is its own.
class GraphRefused : public Error {
 public:
  using Error::Error;
};

// A graph made ready to run on one kind of device.
class GraphPlan {
 public:
  struct State;
  explicit GraphPlan(std::unique_ptr<State> state);
  ~GraphPlan();

  std::size_t workspace_bytes() const;
  std::int64_t engine() const;  // cuDNN's number of the kernel family
  // Begins the computation on `stream`; all memory must stay until it is done.
  void run(std::span<const graph::Binding> memory, void* workspace, cudaStream_t stream) const;

 private:
  std::unique_ptr<State> state_;
};

class GraphEngine {
 public:
  GraphEngine();  // for the current device
  // For a device that need not be here, described by cuDNN's device properties (JSON): its plans
  // cannot run.
  explicit GraphEngine(const std::string& device_properties);
  ~GraphEngine();
  GraphEngine(const GraphEngine&) = delete;
  GraphEngine& operator=(const GraphEngine&) = delete;

  // Compiles kernels, which takes about a second. Throws GraphRefused.
  std::unique_ptr<GraphPlan> plan(const graph::Graph& graph) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weft
