// Messages of the emulator's NCCL, over MPI. Nothing here waits, so that everything can be aborted.
#include <algorithm>

#include <mpi.h>

#include "tests/cuda_emulator/nccl.hpp"

namespace cuda_emulator {

namespace {

using Kind = NcclCall::Kind;

// What the other side of a connection calls.
Kind counterpart(Kind kind) {
  if (kind == Kind::send) return Kind::receive;
  return kind == Kind::receive ? Kind::send : kind;
}

}  // namespace

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
      if (length == 1) {  // a greeting; all else is longer
        greeted_by.emplace(static_cast<Kind>(bytes[0]), r);
      } else {
        inbox[r].push_back(std::move(bytes));
      }
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

std::vector<int> NcclRanks::partners(const NcclCall& call) const {
  if (call.kind == Kind::send || call.kind == Kind::receive) return {call.peer};
  std::vector<int> others;
  for (int r = 0; r < size; ++r) {
    if (r != rank) others.push_back(r);
  }
  return others;
}

void NcclRanks::greet(const NcclCall& call) {
  for (const int r : partners(call)) {
    if (greeted.emplace(call.kind, r).second) send(r, {static_cast<char>(call.kind)});
  }
}

bool NcclRanks::connected(const NcclCall& call) const {
  const std::vector<int> others = partners(call);
  return std::all_of(others.begin(), others.end(), [&](int r) {
    return greeted_by.contains({counterpart(call.kind), r});
  });
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
