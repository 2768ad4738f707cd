// A thread that reduces tensors one after the other while the caller computes.
#include "parallel/communication_thread.hpp"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>

#include "core/backend/range.hpp"

namespace weft {

// Owned by both sides, so that a thread left behind keeps what it uses.
struct CommunicationThread::Shared {
  std::unique_ptr<Communicator> communicator;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Tensor> queue;  // guarded by the mutex, as all below
  bool busy = false;
  bool stop = false;
  std::exception_ptr error;

  void run();
};

void CommunicationThread::Shared::run() {
  name_thread("communication");
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return stop || !queue.empty(); });
    if (stop) return;
    Tensor x = std::move(queue.front());
    queue.pop_front();
    if (error) continue;
    busy = true;
    lock.unlock();
    std::exception_ptr failure;
    try {
      const Range range("all-reduce");
      communicator->all_reduce(x, ReduceOp::sum);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    busy = false;
    if (failure) error = failure;
    changed.notify_all();
  }
}

CommunicationThread::CommunicationThread(std::unique_ptr<Communicator> own)
    : shared_(std::make_shared<Shared>()) {
  shared_->communicator = std::move(own);
  thread_ = std::thread([shared = shared_] { shared->run(); });
}

CommunicationThread::~CommunicationThread() {
  bool busy = false;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
    busy = shared_->busy;
  }
  shared_->changed.notify_all();
  if (busy) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void CommunicationThread::all_reduce(const Tensor& x) {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->queue.push_back(x);
  }
  shared_->changed.notify_all();
}

void CommunicationThread::wait() {
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait(
      lock, [&] { return shared_->error || (shared_->queue.empty() && !shared_->busy); });
  if (shared_->error) std::rethrow_exception(shared_->error);
}

std::unique_ptr<BackgroundReducer> Communicator::background_reducer(Device) const {
  return std::make_unique<CommunicationThread>(duplicate());
}

}  // namespace weft
