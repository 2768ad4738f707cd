// A thread that fills a bounded queue with the batches of coming steps.
#include "core/data/loader.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/backend/range.hpp"
#include "core/base/error.hpp"
#include "core/data/masking.hpp"

namespace weft {

namespace {

void check(const LoaderOptions& o) {
  if (o.global_batch < 1 || o.micro_batch < 1 || o.data_ranks < 1 || o.data_rank < 0 ||
      o.data_rank >= o.data_ranks || o.global_batch % (o.micro_batch * o.data_ranks) != 0) {
    throw InputError(
        fmt::format("a global batch of {} cannot be cut into micro-batches of {} on {} "
                    "data ranks",
                    o.global_batch, o.micro_batch, o.data_ranks),
        "global_batch must divide by micro_batch times data ranks");
  }
}

}  // namespace

std::vector<Batch> step_batches(const Dataset& dataset, const LoaderOptions& options,
                                std::int64_t first_sample) {
  check(options);
  const std::int64_t per_rank = options.global_batch / options.data_ranks;
  const std::int64_t begin = options.data_rank * per_rank;
  const std::int64_t T = dataset.data().seq_length;
  const std::int64_t masked_places =
      options.fixed_shapes ? options.micro_batch * prediction_count(dataset.objective(), T) : 0;
  std::vector<Batch> batches;
  std::vector<Sample> samples;
  for (std::int64_t first = begin; first < begin + per_rank; first += options.micro_batch) {
    samples.clear();
    for (std::int64_t i = first; i < first + options.micro_batch; ++i) {
      samples.push_back(dataset.sample(static_cast<std::uint64_t>(first_sample + i)));
    }
    batches.push_back(make_batch(samples, T, dataset.pad_id(), first, masked_places));
  }
  return batches;
}

struct Loader::Queue {
  Queue(const Dataset& d, const LoaderOptions& o)
      : dataset(d), options(o), thread([this] { fill(); }) {}

  ~Queue() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    changed.notify_all();
    thread.join();
  }

  void fill() {
    name_thread("data loader");
    const auto room = static_cast<std::size_t>(std::max(1, options.prefetch));
    try {
      for (std::int64_t sample = options.first_sample;; sample += options.global_batch) {
        {
          std::unique_lock lock(mutex);
          changed.wait(lock, [&] { return stop || ready.size() < room; });
          if (stop) return;
        }
        auto batches = [&] {
          const Range range("make batches");
          return step_batches(dataset, options, sample);
        }();
        const std::lock_guard lock(mutex);
        ready.push_back(std::move(batches));
        changed.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
      changed.notify_all();
    }
  }

  const Dataset& dataset;
  const LoaderOptions options;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::vector<Batch>> ready;
  std::exception_ptr failure;
  bool stop = false;
  std::thread thread;  // last: it uses all of the above
};

Loader::Loader(const Dataset& dataset, const LoaderOptions& options) {
  check(options);
  queue_ = std::make_unique<Queue>(dataset, options);
}

Loader::~Loader() = default;

std::vector<Batch> Loader::next() {
  std::unique_lock lock(queue_->mutex);
  queue_->changed.wait(lock, [&] { return !queue_->ready.empty() || queue_->failure; });
  if (queue_->ready.empty()) std::rethrow_exception(queue_->failure);
  auto batches = std::move(queue_->ready.front());
  queue_->ready.pop_front();
  queue_->changed.notify_all();
  return batches;
}

}  // namespace weft
