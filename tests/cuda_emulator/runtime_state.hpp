// What the files of the emulated runtime share: the current device, the last error, the streams.
#pragma once

#include <functional>
#include <string>

#include "tests/cuda_emulator/runtime_api.hpp"

namespace cuda_emulator {

// Keeps `error` for cudaGetLastError() and returns it.
cudaError_t failed(cudaError_t error);

// Of the calling thread.
int current_device();

// An error when a call that capturing forbids is made while a stream of this thread captures.
cudaError_t not_while_capturing(const char* call);

// Appends work to a stream, or to the graph that it captures. The work runs as late as CUDA's
// rules allow, on the thread that waits for it, with device memory accessible.
// Work that needs something of another process begins when `ready` says so, which may then be
// asked again, and until then does not hold up the thread that only asks for an event. Nor does
// work that `waits` for other processes while it runs.
cudaError_t append_work(cudaStream_t stream, std::string name, std::function<void()> work,
                        std::function<bool()> ready = {}, bool waits = false);

// The same for the call of a library, which takes its place among the kernels when results are held
// against fp64.
cudaError_t enqueue(cudaStream_t stream, std::string name, std::function<void()> work,
                    std::function<bool()> ready = {});

// How often the host waited for a device, an event or a stream that was not done yet. As emulated
// work runs late, that is whenever a GPU could have been behind the host.
long host_waits();
// How often a graph was launched.
long graph_launches();

// Runs all work of all streams.
void run_everything();

}  // namespace cuda_emulator
