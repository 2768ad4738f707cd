// The recording of a process: one list for all threads.
#include "core/backend/timeline.hpp"

#include <chrono>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

namespace weft {

namespace {

struct Recording {
  std::mutex mutex;  // guards the rest; spans are microseconds long, and most come from one thread
  Timeline timeline;
  std::unordered_map<std::thread::id, int> numbers;
};

// Never destroyed: a thread left behind may still end a range.
Recording& recording_of_process() {
  static auto* recording = new Recording;
  return *recording;
}

thread_local const char* thread_name = nullptr;

}  // namespace

namespace timeline {

std::atomic<bool> recording = false;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void add(Span span) {
  Recording& r = recording_of_process();
  const std::lock_guard lock(r.mutex);
  if (!is_recording()) return;
  const int next = static_cast<int>(r.numbers.size());
  const auto [it, is_new] = r.numbers.try_emplace(std::this_thread::get_id(), next);
  if (is_new) {
    r.timeline.threads.push_back(thread_name != nullptr ? thread_name
                                                        : "thread " + std::to_string(next));
  }
  span.thread = it->second;
  r.timeline.spans.push_back(std::move(span));
}

}  // namespace timeline

void start_recording() {
  Recording& r = recording_of_process();
  const std::lock_guard lock(r.mutex);
  r.timeline = {};
  r.numbers.clear();
  timeline::recording = true;
}

Timeline stop_recording() {
  Recording& r = recording_of_process();
  const std::lock_guard lock(r.mutex);
  timeline::recording = false;
  return std::exchange(r.timeline, {});
}

void name_thread(const char* name) { thread_name = name; }

}  // namespace weft
