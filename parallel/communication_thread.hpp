// A thread that reduces tensors one after the other while the caller computes.
#pragma once

#include <memory>
#include <thread>

#include "parallel/communicator.hpp"

namespace weft {

// MPI_Iallreduce of Open MPI makes no progress between calls, so overlap needs a thread of its own
// that calls blocking collectives, on a communicator of its own.
class CommunicationThread final : public BackgroundReducer {
 public:
  // `own` is used by this thread only: Communicator::duplicate().
  explicit CommunicationThread(std::unique_ptr<Communicator> own);
  // Outside of error handling everything was waited for. While an exception unwinds, a collective
  // under way may wait for a rank that never comes: the thread is then left behind with all that it
  // uses, and ends with the process.
  ~CommunicationThread() override;
  CommunicationThread(const CommunicationThread&) = delete;
  CommunicationThread& operator=(const CommunicationThread&) = delete;

  void all_reduce(const Tensor& x) override;
  void wait() override;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace weft
