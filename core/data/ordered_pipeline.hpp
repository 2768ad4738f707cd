// A pipeline of one source, several workers and one sink that keeps the order of the source.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace weft {

// What the sink gets does not depend on the number of workers: item by item in the source's order.
// At most 2 * workers + 2 items are under way. An exception of source or work is thrown by run()
// when all items before it have gone through the sink.
template <class In, class Out>
class OrderedPipeline {
 public:
  std::function<bool(In&)> source;  // fills the next item; false at the end; called by one thread
  std::function<Out(In&&)> work;    // called by several threads at a time
  std::function<bool(Out&&)> sink;  // false stops the pipeline; called by the thread of run()

  // Once per object.
  void run(int workers) {
    capacity_ = 2 * static_cast<std::uint64_t>(workers) + 2;
    std::vector<std::jthread> threads;
    const Stopper stopper{*this};  // destroyed first, so that the threads end and can be joined
    threads.emplace_back([this] { produce(); });
    for (int i = 0; i < workers; ++i) threads.emplace_back([this] { transform(); });
    drain();
  }

 private:
  struct Result {
    std::optional<Out> out;
    std::exception_ptr failure;
  };
  struct Stopper {
    OrderedPipeline& pipeline;
    ~Stopper() {
      const std::lock_guard lock(pipeline.mutex_);
      pipeline.stop_ = true;
      pipeline.changed_.notify_all();
    }
  };

  void produce() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop_ || produced_ - consumed_ < capacity_; });
        if (stop_) return;
      }
      In in;
      bool more = false;
      std::exception_ptr failure;
      try {
        more = source(in);
      } catch (...) {
        failure = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      if (failure) done_[produced_++] = {std::nullopt, failure};
      if (more) todo_.emplace_back(produced_++, std::move(in));
      ended_ = !more;
      changed_.notify_all();
      if (ended_) return;
    }
  }

  void transform() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || ended_ || !todo_.empty(); });
      if (stop_ || todo_.empty()) return;
      auto [number, in] = std::move(todo_.front());
      todo_.pop_front();
      lock.unlock();
      Result result;
      try {
        result.out = work(std::move(in));
      } catch (...) {
        result.failure = std::current_exception();
      }
      lock.lock();
      done_[number] = std::move(result);
      changed_.notify_all();
    }
  }

  void drain() {
    for (;;) {
      Result result;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(
            lock, [&] { return done_.count(consumed_) > 0 || (ended_ && consumed_ == produced_); });
        if (consumed_ == produced_) return;
        result = std::move(done_.extract(consumed_).mapped());
      }
      if (result.failure) std::rethrow_exception(result.failure);
      if (!sink(std::move(*result.out))) return;
      const std::lock_guard lock(mutex_);
      ++consumed_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::uint64_t, In>> todo_;
  std::map<std::uint64_t, Result> done_;
  std::uint64_t produced_ = 0, consumed_ = 0, capacity_ = 0;
  bool ended_ = false, stop_ = false;
};

}  // namespace weft
