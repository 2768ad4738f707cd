// The emulator's NCCL: communicators over MPI's messages, operations as work of emulated streams.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <mpi.h>
#include <nccl.h>

namespace cuda_emulator {

using Bytes = std::vector<char>;

struct Sent {
  Bytes bytes;
  MPI_Request request;
  Sent(Bytes b, MPI_Request r) : bytes(std::move(b)), request(r) {}
};

struct NcclCall {
  enum class Kind : std::int32_t {
    all_reduce,
    reduce_scatter,
    all_gather,
    broadcast,
    send,
    receive
  };
  Kind kind;
  const void* from = nullptr;
  void* to = nullptr;
  std::size_t count = 0;
  ncclDataType_t type = ncclFloat32;
  ncclRedOp_t op = ncclSum;
  int peer = 0;  // or root
};

// What the ranks of a communicator share, as this rank sees it.
struct NcclRanks : std::enable_shared_from_this<NcclRanks> {
  int rank = 0, size = 1, device = 0;
  std::vector<int> world;  // each rank's in MPI_COMM_WORLD
  int tag = 0;             // of this communicator's messages
  bool blocking = true;
  int splits = 0;

  std::atomic<ncclResult_t> state = ncclSuccess;
  std::atomic<bool> aborted = false, finalizing = false;
  std::atomic<int> under_way = 0;     // launches in streams that have not ended
  std::atomic<int> captured = 0;      // launches in captures and graphs that are alive
  std::atomic<bool> working = false;  // a thread of NCCL's own
  std::atomic<std::int64_t> ended = 0;
  std::int64_t launched = 0;
  std::mutex mutex;
  std::string last_error;                  // guarded by mutex, as all below
  std::map<int, std::deque<Bytes>> inbox;  // by rank
  std::list<Sent> sent;
  using Connection = std::pair<NcclCall::Kind, int>;  // to a rank
  std::set<Connection> greeted, greeted_by;           // greeted_by: as that rank calls it
  int polls_left = 0;                                 // before a non-blocking launch takes place
  std::function<ncclResult_t()> waiting;              // which one
  std::vector<NcclCall> connecting;                   // its calls

  ~NcclRanks();
  ncclResult_t fail(ncclResult_t code, const std::string& why);  // returns code
  // With the mutex held: takes in what has arrived; the next message of a rank, if it is there.
  void pump();
  bool take(int from, Bytes& message);
  void send(int to, Bytes message);
  // Also with the mutex held. Ranks connect for a kind of call when they make it first, which takes
  // both: greets those that `call` needs; whether they have all greeted in return.
  void greet(const NcclCall& call);
  bool connected(const NcclCall& call) const;

 private:
  std::vector<int> partners(const NcclCall& call) const;
};

const char* name_of(NcclCall::Kind kind);
std::size_t size_of(ncclDataType_t type);

// Puts calls that were grouped into a stream, as one piece of work.
ncclResult_t launch(const std::shared_ptr<NcclRanks>& ranks, std::vector<NcclCall> calls,
                    cudaStream_t stream);

}  // namespace cuda_emulator
