// Capturing streams into graphs, and launching these.
#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"
#include "tests/cuda_emulator/streams.hpp"

using namespace cuda_emulator;

struct CUgraph_st {
  CUstream_st* origin = nullptr;
  std::vector<CapturedItem> items;
};

struct CUgraphExec_st {
  std::shared_ptr<const CUgraph_st> graph;
};

namespace {

// Whether everything captured comes before the end of the origin stream: forked streams must have
// been joined.
bool all_joined(const Capture& capture) {
  std::map<CUstream_st*, std::vector<const Item*>> streams;
  for (const CapturedItem& c : capture.items) streams[c.stream].push_back(&c.item);
  std::map<CUstream_st*, std::size_t> reached;
  std::vector<std::pair<CUstream_st*, std::size_t>> todo = {
      {capture.origin, streams[capture.origin].size()}};
  while (!todo.empty()) {
    const auto [stream, end] = todo.back();
    todo.pop_back();
    for (std::size_t& i = reached[stream]; i < end; ++i) {
      const Item& item = *streams[stream][i];
      if (!item.waits_for) continue;
      const auto& theirs = streams[item.waits_for->stream];
      const auto at = std::find_if(theirs.begin(), theirs.end(), [&](const Item* other) {
        return other->records == item.waits_for;
      });
      todo.emplace_back(item.waits_for->stream, static_cast<std::size_t>(at - theirs.begin()) + 1);
    }
  }
  for (const auto& [stream, items] : streams)
    for (std::size_t i = reached[stream]; i < items.size(); ++i)
      if (items[i]->work && !items[i]->note) {
        explain(items[i]->name + " was captured in a stream that was not joined again");
        return false;
      }
  return true;
}

// Runs a graph on streams of its own, each as late as its events allow.
void run_graph(const CUgraph_st& graph) {
  std::map<CUstream_st*, CUstream_st> copies;
  std::map<const Recording*, std::shared_ptr<Recording>> recordings;
  const auto again = [&](const std::shared_ptr<Recording>& old) {
    if (!old) return old;
    std::shared_ptr<Recording>& copy = recordings[old.get()];
    if (!copy) {
      copy = std::make_shared<Recording>();
      copy->stream = &copies[old->stream];
    }
    return copy;
  };
  for (const CapturedItem& c : graph.items)
    copies[c.stream].items.push_back({.name = c.item.name,
                                      .work = c.item.work,
                                      .records = again(c.item.records),
                                      .waits_for = again(c.item.waits_for),
                                      .ready = c.item.ready,
                                      .note = c.item.note});
  Streams& streams = Streams::instance();
  std::unique_lock lock(streams.mutex);
  streams.run_all(copies[graph.origin], lock);
}

std::atomic<long> launches = 0;

}  // namespace

long cuda_emulator::graph_launches() { return launches; }

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  Streams& streams = Streams::instance();
  std::unique_lock lock(streams.mutex);
  CUstream_st* stream = streams.find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->legacy || stream->capture != nullptr) {
    explain("the legacy stream, or one that captures already, cannot begin a capture");
    return failed(cudaErrorStreamCaptureUnsupported);
  }
  auto* capture = new Capture;
  capture->id = ++streams.captures_begun;
  capture->origin = stream;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  stream->capture = capture;
  streams.captures.push_back(capture);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  Streams& streams = Streams::instance();
  std::unique_lock lock(streams.mutex);
  *graph = nullptr;
  CUstream_st* stream = streams.find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->capture == nullptr || stream->capture->origin != stream)
    return failed(cudaErrorStreamCaptureUnmatched);
  Capture* capture = stream->capture;
  if (capture->mode != cudaStreamCaptureModeRelaxed &&
      capture->thread != std::this_thread::get_id())
    return failed(cudaErrorStreamCaptureWrongThread);
  std::erase(streams.captures, capture);
  for (CUstream_st* s : streams.all)
    if (s->capture == capture) s->capture = nullptr;
  const std::unique_ptr<Capture> owned(capture);
  if (capture->invalid) return failed(cudaErrorStreamCaptureInvalidated);
  if (!all_joined(*capture)) return failed(cudaErrorStreamCaptureUnjoined);
  *graph = new CUgraph_st{stream, std::move(capture->items)};
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return cudaStreamGetCaptureInfo(handle, status);
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status,
                                     unsigned long long* id) {
  Streams& streams = Streams::instance();
  const std::unique_lock lock(streams.mutex);
  const CUstream_st* stream = streams.find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (id != nullptr && stream->capture != nullptr) *id = stream->capture->id;
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
            : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(thread_capture_mode, *mode);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                 unsigned long long flags) {
  if (flags != 0 && flags != cudaGraphInstantiateFlagUseNodePriority)
    return failed(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st{std::make_shared<const CUgraph_st>(*graph)};
  return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* info) {
  const auto& old = exec->graph->items;
  const bool same = std::equal(old.begin(), old.end(), graph->items.begin(), graph->items.end(),
                               [](const CapturedItem& a, const CapturedItem& b) {
                                 return a.stream == b.stream && a.item.name == b.item.name;
                               });
  info->result = same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged;
  if (!same) return failed(cudaErrorGraphExecUpdateFailure);
  exec->graph = std::make_shared<const CUgraph_st>(*graph);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  ++launches;
  const bool waits = std::any_of(exec->graph->items.begin(), exec->graph->items.end(),
                                 [](const CapturedItem& c) { return c.item.ready != nullptr; });
  return append_work(
      stream, "graph", [graph = exec->graph] { run_graph(*graph); }, {}, waits);
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  if (nodes != nullptr) return failed(cudaErrorNotSupported);
  *count = static_cast<std::size_t>(
      std::count_if(graph->items.begin(), graph->items.end(),
                    [](const CapturedItem& c) { return c.item.work && !c.item.note; }));
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  run_everything();  // launches of it may still be under way
  delete exec;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
