// Messages of the emulator's NCCL, over MPI. Nothing here waits, so that everything can be aborted.
#include <mpi.h>

#include "tests/cuda_emulator/nccl.hpp"

namespace cuda_emulator {

ncclResult_t NcclRanks::fail(ncclResult_t code, const std::string& why) {
  const std::lock_guard lock(mutex);
  last_error = why;
  return code;
}

void NcclRanks::pump() {
  for (int r = 0; r < size; ++r) {
    while (true) {
      int there = 0, length = 0;
      MPI_Message message;
      MPI_Status status;
      MPI_Improbe(world[static_cast<std::size_t>(r)], tag, MPI_COMM_WORLD, &there, &message,
                  &status);
      if (!there) break;
      MPI_Get_count(&status, MPI_BYTE, &length);
      Bytes bytes(static_cast<std::size_t>(length));
      MPI_Mrecv(bytes.data(), length, MPI_BYTE, &message, MPI_STATUS_IGNORE);
      inbox[r].push_back(std::move(bytes));
    }
  }
}

bool NcclRanks::take(int from, Bytes& message) {
  std::deque<Bytes>& messages = inbox[from];
  if (messages.empty()) return false;
  message = std::move(messages.front());
  messages.pop_front();
  return true;
}

// What is sent is kept until MPI is done with it; what nobody takes, as long as the communicator.
void NcclRanks::send(int to, Bytes message) {
  std::erase_if(sent, [](Sent& s) {
    int done = 0;
    MPI_Test(&s.request, &done, MPI_STATUS_IGNORE);
    return done != 0;
  });
  Sent& s = sent.emplace_back(std::move(message), MPI_REQUEST_NULL);
  MPI_Isend(s.bytes.data(), static_cast<int>(s.bytes.size()), MPI_BYTE,
            world[static_cast<std::size_t>(to)], tag, MPI_COMM_WORLD, &s.request);
}

NcclRanks::~NcclRanks() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  for (Sent& s : sent) {
    if (finalized) break;
    int done = 0;
    MPI_Test(&s.request, &done, MPI_STATUS_IGNORE);
    if (done) continue;
    MPI_Cancel(&s.request);
    MPI_Request_free(&s.request);
    // MPI may still read it.
    new Bytes(std::move(s.bytes));
  }
}

}  // namespace cuda_emulator
