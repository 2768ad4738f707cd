// Streams and events.
#include "tests/cuda_emulator/streams.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/memory.hpp"
#include "tests/cuda_emulator/report.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"
#include "tests/cuda_emulator/settings.hpp"

namespace cuda_emulator {

namespace {

std::atomic<long> waits = 0;

bool has_work(const CUstream_st& stream) { return !stream.items.empty() || stream.busy; }

void run_work(const Item& item) {
  if (devices_broken() && !item.note) return;
  try {
    item.work();
  } catch (const DeviceFault& fault) {
    break_devices(fault);
  }
}

// What a call returns that has waited for work.
cudaError_t waited() { return devices_broken() ? failed(cudaErrorLaunchFailure) : cudaSuccess; }

}  // namespace

long host_waits() { return waits; }

thread_local cudaStreamCaptureMode thread_capture_mode = cudaStreamCaptureModeGlobal;

Streams& Streams::instance() {
  static auto* streams = new Streams;
  return *streams;
}

CUstream_st* Streams::legacy(int device) {
  while (legacy_.size() <= static_cast<std::size_t>(device)) {
    auto* stream = new CUstream_st;
    stream->device = static_cast<int>(legacy_.size());
    stream->legacy = true;
    legacy_.push_back(stream);
    all.insert(stream);
  }
  return legacy_[static_cast<std::size_t>(device)];
}

CUstream_st* Streams::find(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return legacy(current_device());
  if (all.contains(handle)) return handle;
  explain("a stream that was destroyed, or never created, is used");
  return nullptr;
}

void Streams::append(CUstream_st& stream, Item item, std::unique_lock<std::mutex>& lock) {
  if (stream.capture != nullptr) {
    stream.capture->items.push_back({&stream, std::move(item)});
    return;
  }
  // The legacy stream waits for every blocking one, and these for it.
  if (stream.legacy) {
    for (CUstream_st* other : std::vector(all.begin(), all.end()))
      if (other->blocking && other->device == stream.device && other != &stream)
        run_all(*other, lock);
  } else if (stream.blocking) {
    run_all(*legacy(stream.device), lock);
  }
  stream.items.push_back(std::move(item));
  if (settings().eager_streams) run_ready(stream, lock);
}

void Streams::run_ready(CUstream_st& stream, std::unique_lock<std::mutex>& lock) {
  const DeviceMemoryAccess access;
  while (!stream.busy && !stream.items.empty() && is_ready(stream, lock)) run_front(stream, lock);
}

// Whether the front's work can begin, as far as that depends on other processes.
bool Streams::is_ready(CUstream_st& stream, std::unique_lock<std::mutex>& lock) {
  const Item& front = stream.items.front();
  if (!front.ready) return true;
  stream.busy = true;
  lock.unlock();
  bool ready = false;
  {
    const DeviceMemoryAccess access;
    ready = front.ready();
  }
  lock.lock();
  stream.busy = false;
  changed_.notify_all();
  return ready;
}

void Streams::run_front(CUstream_st& stream, std::unique_lock<std::mutex>& lock) {
  const Item item = std::move(stream.items.front());
  stream.items.pop_front();
  stream.busy = true;
  if (item.waits_for && !item.waits_for->done)
    run_until(*item.waits_for->stream, *item.waits_for, lock);
  if (item.work) {
    lock.unlock();
    run_work(item);
    lock.lock();
  }
  if (item.records) {
    item.records->done = true;
    item.records->time = std::chrono::steady_clock::now();
  }
  while (!stream.items.empty() && stream.items.front().note) {
    stream.items.front().work();
    stream.items.pop_front();
  }
  stream.busy = false;
  changed_.notify_all();
}

void Streams::run_until(CUstream_st& stream, const Recording& recording,
                        std::unique_lock<std::mutex>& lock) {
  const DeviceMemoryAccess access;
  while (!recording.done) {
    if (stream.busy)
      changed_.wait(lock);
    else if (is_ready(stream, lock))
      run_front(stream, lock);
    else
      changed_.wait_for(lock, std::chrono::microseconds(200));
  }
}

void Streams::run_all(CUstream_st& stream, std::unique_lock<std::mutex>& lock) {
  if (!has_work(stream)) return;
  const auto end = std::make_shared<Recording>();
  end->stream = &stream;
  stream.items.push_back({.name = "end", .work = {}, .records = end, .waits_for = {}});
  run_until(stream, *end, lock);
}

void Streams::run_one(CUstream_st& stream, std::unique_lock<std::mutex>& lock) {
  const DeviceMemoryAccess access;
  if (stream.busy || stream.items.empty()) return;
  const std::shared_ptr<Recording> other = stream.items.front().waits_for;
  if (other && !other->done) return run_one(*other->stream, lock);
  if (stream.items.front().waits) return;
  if (is_ready(stream, lock)) run_front(stream, lock);
}

void mark_block(cudaStream_t handle, void* p, std::size_t bytes, std::size_t size) {
  Streams& streams = Streams::instance();
  const std::unique_lock lock(streams.mutex);
  CUstream_st* stream = streams.find(handle);
  if (stream == nullptr) fail("an allocator lends memory in the order of no stream");
  Item item{.name = "block",
            .work = [=] { DeviceMemory::instance().lend(p, bytes, size); },
            .records = {},
            .waits_for = {},
            .note = true};
  // What a graph has of its own it is given by every launch anew, and gives back.
  Capture* const capture = stream->capture;
  if (capture != nullptr && bytes > 0) capture->lent.insert(p);
  if (capture != nullptr && capture->lent.contains(p))
    capture->items.push_back({stream, std::move(item)});
  else if (has_work(*stream))
    stream->items.push_back(std::move(item));
  else
    item.work();
}

cudaError_t append_work(cudaStream_t handle, std::string name, std::function<void()> work,
                        std::function<bool()> ready, bool waits) {
  if (handle == nullptr || handle == cudaStreamLegacy)
    if (const cudaError_t e = not_while_capturing(name.c_str())) return e;
  Streams& streams = Streams::instance();
  std::unique_lock lock(streams.mutex);
  CUstream_st* stream = streams.find(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->device != current_device()) {
    explain(name + " is put into a stream of device " + std::to_string(stream->device) +
            " while device " + std::to_string(current_device()) + " is current");
    return failed(cudaErrorInvalidResourceHandle);
  }
  streams.append(*stream,
                 {.name = std::move(name),
                  .work = std::move(work),
                  .records = {},
                  .waits_for = {},
                  .ready = std::move(ready),
                  .waits = waits},
                 lock);
  return cudaSuccess;
}

cudaError_t enqueue(cudaStream_t stream, std::string name, std::function<void()> work,
                    std::function<bool()> ready) {
  report_launch(name, "");
  return append_work(stream, std::move(name), std::move(work), std::move(ready));
}

void run_everything() {
  Streams& streams = Streams::instance();
  std::unique_lock lock(streams.mutex);
  for (CUstream_st* stream : std::vector(streams.all.begin(), streams.all.end()))
    if (streams.all.contains(stream) && stream->capture == nullptr) streams.run_all(*stream, lock);
}

cudaError_t not_while_capturing(const char* call) {
  if (thread_capture_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  Streams& streams = Streams::instance();
  const std::unique_lock lock(streams.mutex);
  for (Capture* c : streams.captures) {
    const bool mine = c->thread == std::this_thread::get_id();
    const bool forbidden = c->mode == cudaStreamCaptureModeGlobal ||
                           (c->mode == cudaStreamCaptureModeThreadLocal && mine);
    if (!forbidden) continue;
    c->invalid = true;
    explain(std::string(call) + " is called while a stream captures");
    return failed(cudaErrorStreamCaptureUnsupported);
  }
  return cudaSuccess;
}

}  // namespace cuda_emulator

using namespace cuda_emulator;

namespace {

// A locked view of one stream for the functions below.
struct Locked {
  explicit Locked(cudaStream_t handle) : lock(streams.mutex), stream(streams.find(handle)) {}
  Streams& streams = Streams::instance();
  std::unique_lock<std::mutex> lock;
  CUstream_st* stream;
};

// An error if the host may not wait for the stream now.
cudaError_t may_wait(CUstream_st* stream, const char* call) {
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->capture == nullptr) return cudaSuccess;
  stream->capture->invalid = true;
  explain(std::string(call) + " of a stream that captures");
  return failed(cudaErrorStreamCaptureUnsupported);
}

}  // namespace

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned flags, int priority) {
  if (settings().devices == 0) return failed(cudaErrorNoDevice);
  Streams& streams = Streams::instance();
  const std::unique_lock lock(streams.mutex);
  auto* stream = new CUstream_st;
  stream->device = current_device();
  stream->blocking = (flags & cudaStreamNonBlocking) == 0;
  stream->priority = priority;
  streams.all.insert(stream);
  *out = stream;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  Locked l(handle);
  if (const cudaError_t e = may_wait(l.stream, "cudaStreamDestroy")) return e;
  if (l.stream->legacy) return failed(cudaErrorInvalidResourceHandle);
  l.streams.run_all(*l.stream, l.lock);
  l.streams.all.erase(l.stream);
  delete l.stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  Locked l(handle);
  if (const cudaError_t e = may_wait(l.stream, "cudaStreamSynchronize")) return e;
  if (has_work(*l.stream)) ++waits;
  l.streams.run_all(*l.stream, l.lock);
  return waited();
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  Locked l(handle);
  if (const cudaError_t e = may_wait(l.stream, "cudaStreamQuery")) return e;
  if (!has_work(*l.stream)) return cudaSuccess;
  l.streams.run_one(*l.stream, l.lock);
  return failed(cudaErrorNotReady);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return append_work(stream, "host function", [function, data] { function(data); });
}

cudaError_t cudaDeviceSynchronize() {
  if (const cudaError_t e = not_while_capturing("cudaDeviceSynchronize")) return e;
  const int device = current_device();
  Streams& streams = Streams::instance();
  std::unique_lock lock(streams.mutex);
  if (std::any_of(streams.all.begin(), streams.all.end(),
                  [&](CUstream_st* s) { return s->device == device && has_work(*s); }))
    ++waits;
  for (CUstream_st* stream : std::vector(streams.all.begin(), streams.all.end()))
    if (streams.all.contains(stream) && stream->device == device) streams.run_all(*stream, lock);
  return waited();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (settings().devices == 0) return failed(cudaErrorNoDevice);
  *event = new CUevent_st;
  (*event)->flags = flags;
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  Locked l(handle);
  if (l.stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  event->recording = std::make_shared<Recording>();
  event->recording->stream = l.stream;
  event->recording->capture = l.stream->capture;
  l.streams.append(*l.stream,
                   {.name = "event", .work = {}, .records = event->recording, .waits_for = {}},
                   l.lock);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  Locked l(handle);
  if (l.stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (!event->recording) return cudaSuccess;
  Capture* theirs = event->recording->capture;
  if (theirs != nullptr && l.stream->capture == nullptr) {
    if (!l.streams.all.contains(theirs->origin) ||
        std::find(l.streams.captures.begin(), l.streams.captures.end(), theirs) ==
            l.streams.captures.end())
      return failed(cudaErrorCapturedEvent);
    l.stream->capture = theirs;  // the stream joins the capture
  }
  if (l.stream->capture != theirs) {
    if (l.stream->capture != nullptr) l.stream->capture->invalid = true;
    explain("a stream that captures waits for an event from outside of the capture");
    return failed(theirs == nullptr ? cudaErrorStreamCaptureIsolation
                                    : cudaErrorStreamCaptureMerge);
  }
  l.streams.append(*l.stream,
                   {.name = "wait", .work = {}, .records = {}, .waits_for = event->recording},
                   l.lock);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  Streams& streams = Streams::instance();
  std::unique_lock lock(streams.mutex);
  if (!event->recording || event->recording->done) return cudaSuccess;
  if (event->recording->capture != nullptr) return failed(cudaErrorCapturedEvent);
  const std::shared_ptr<Recording> recording = event->recording;
  streams.run_one(*recording->stream, lock);
  return failed(cudaErrorNotReady);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Streams& streams = Streams::instance();
  std::unique_lock lock(streams.mutex);
  if (!event->recording || event->recording->done) return cudaSuccess;
  if (event->recording->capture != nullptr) return failed(cudaErrorCapturedEvent);
  const std::shared_ptr<Recording> recording = event->recording;
  ++waits;
  streams.run_until(*recording->stream, *recording, lock);
  return waited();
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t first, cudaEvent_t second) {
  if (((first->flags | second->flags) & cudaEventDisableTiming) != 0 || !first->recording ||
      !second->recording)
    return failed(cudaErrorInvalidResourceHandle);
  if (!first->recording->done || !second->recording->done) return failed(cudaErrorNotReady);
  const std::chrono::duration<float, std::milli> elapsed =
      second->recording->time - first->recording->time;
  *milliseconds = elapsed.count();
  return cudaSuccess;
}
