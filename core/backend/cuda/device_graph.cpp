// Captured work of a GPU: a CUDA graph, and the memory it works on.
#include <utility>

#include "core/backend/cuda/runtime.hpp"

namespace weft {

namespace {

class CudaGraph final : public DeviceGraph {
 public:
  // From here to end() the stream captures.
  CudaGraph(CudaAllocator& allocator, cudaStream_t stream) : pool_(allocator), stream_(stream) {
    // Relaxed: memory is allocated meanwhile, and other threads call CUDA.
    check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "beginning a capture");
  }
  ~CudaGraph() override {
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
  }

  void end() {
    pool_.close();
    cudaGraph_t graph = nullptr;
    check_cuda(cudaStreamEndCapture(stream_, &graph), "ending a capture");
    // Work keeps the priority of the stream it was captured from: sums over ranks go first.
    const cudaError_t code =
        cudaGraphInstantiate(&executable_, graph, cudaGraphInstantiateFlagUseNodePriority);
    cudaGraphDestroy(graph);
    check_cuda(code, "making a graph of what was captured");
  }
  void give_up() {
    cudaGraph_t graph = nullptr;
    if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess) cudaGraphDestroy(graph);
    cudaGetLastError();  // the reason to give up is told
  }

  void replay() override {
    check_cuda(cudaGraphLaunch(executable_, stream_), "launching a captured graph");
  }

 private:
  PrivatePool pool_;
  cudaStream_t stream_;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace

std::unique_ptr<DeviceGraph> CudaRuntime::capture(const std::function<void()>& issue) {
  refuse_in_capture("a capture of");
  // The memory of what ran before lies idle in the common pool, and the graph has its own.
  synchronize();
  allocator_.release_cached();
  auto graph = std::make_unique<CudaGraph>(allocator_, stream());
  capturing_ = true;
  try {
    issue();
  } catch (...) {
    capturing_ = false;
    graph->give_up();
    throw;
  }
  capturing_ = false;
  graph->end();
  return graph;
}

}  // namespace weft
