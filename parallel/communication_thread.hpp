// A thread that reduces tensors one after the other while the caller computes.
#pragma once

#include <memory>
#include <thread>

#include "parallel/communicator.hpp"

namespace weft {

// MPI_Iallreduce of Open MPI makes no progress between calls, so overlap needs a thread of its own
// that calls blocking collectives, on a communicator of its own.
class CommunicationThread {
 public:
  // `own` is used by this thread only: Communicator::duplicate().
  explicit CommunicationThread(std::unique_ptr<Communicator> own);
  // Outside of error handling everything was waited for. While an exception unwinds, a collective
  // under way may wait for a rank that never comes: the thread is then left behind with all that it
  // uses, and ends with the process.
  ~CommunicationThread();
  CommunicationThread(const CommunicationThread&) = delete;
  CommunicationThread& operator=(const CommunicationThread&) = delete;

  // Sums x over the ranks, in place, after all that was given before. x must stay untouched until
  // wait() returns.
  void all_reduce(const Tensor& x);
  // Until everything given is reduced. Rethrows the first error of the thread; after one nothing
  // more is reduced, and each later wait() throws it again.
  void wait();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace weft
