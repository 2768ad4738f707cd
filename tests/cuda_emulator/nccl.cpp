// NCCL's interface for emulated devices: communicators, their states, groups of calls. A
// non-blocking communicator really does nothing before it was asked for its state, and the first
// call of a kind is in progress until the ranks it needs have made it too.
#include "tests/cuda_emulator/nccl.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include <mpi.h>
#include <unistd.h>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/memory.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"

using namespace cuda_emulator;

struct ncclComm {
  std::shared_ptr<NcclRanks> ranks;
};

namespace {

constexpr int kPolls = 3;  // of the state, before a non-blocking call does anything

std::mutex registry_mutex;
std::set<ncclComm_t> registry;  // communicators that are alive

std::shared_ptr<NcclRanks> ranks_of(ncclComm_t comm) {
  const std::lock_guard lock(registry_mutex);
  if (!registry.contains(comm)) fail("NCCL: a communicator is used that is none, or none any more");
  if (comm->ranks->aborted) fail("NCCL: a communicator is used that is being aborted");
  return comm->ranks;
}

ncclComm_t make_handle(std::shared_ptr<NcclRanks> ranks) {
  const std::lock_guard lock(registry_mutex);
  return *registry.insert(new ncclComm{std::move(ranks)}).first;
}

void forget(ncclComm_t comm) {
  const std::lock_guard lock(registry_mutex);
  registry.erase(comm);
  delete comm;
}

// A tag that no other communicator has, but by bad luck.
int tag_from(std::uint64_t seed) {
  seed = (seed ^ (seed >> 31)) * 0x9E3779B97F4A7C15U;
  return static_cast<int>((1U << 20U) + (seed >> 35U));
}

bool is_blocking(const ncclConfig_t* config) { return config == nullptr || config->blocking != 0; }

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

// Does `work` on a thread of its own; `work` returns the state to come and gives up when `ranks` is
// aborted. A blocking communicator waits for it.
ncclResult_t in_background(const std::shared_ptr<NcclRanks>& ranks,
                           std::function<ncclResult_t()> work) {
  ranks->state = ncclInProgress;
  ranks->working = true;
  std::thread thread([ranks, work = std::move(work)] {
    ranks->state = work();
    ranks->working = false;
  });
  if (!ranks->blocking) {
    thread.detach();
    return ncclInProgress;
  }
  thread.join();
  return ranks->state;
}

// Tells one message to the other ranks and waits for theirs. False when aborted.
bool exchange(NcclRanks& ranks, const Bytes& own, std::vector<Bytes>& all) {
  all.assign(static_cast<std::size_t>(ranks.size), {});
  all[static_cast<std::size_t>(ranks.rank)] = own;
  std::unique_lock lock(ranks.mutex);
  for (int r = 0; r < ranks.size; ++r) {
    if (r != ranks.rank) ranks.send(r, own);
  }
  for (int r = 0; r < ranks.size; ++r) {
    if (r == ranks.rank) continue;
    for (ranks.pump(); !ranks.take(r, all[static_cast<std::size_t>(r)]); ranks.pump()) {
      lock.unlock();
      if (ranks.aborted) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      lock.lock();
    }
  }
  return true;
}

struct Introduction {
  int rank = 0, world = 0;
  char gpu[320] = {};
};

Introduction introduction_of(const NcclRanks& ranks) {
  Introduction mine{.rank = ranks.rank, .world = world_rank()};
  char host[256] = {}, bus[32] = {};
  gethostname(host, sizeof host - 1);
  cudaDeviceGetPCIBusId(bus, sizeof bus, ranks.device);
  std::snprintf(mine.gpu, sizeof mine.gpu, "%s %s", host, bus);
  return mine;
}

// Finds the processes of a new communicator: each tells all of MPI's world who it is.
ncclResult_t find_ranks(NcclRanks& ranks, const Introduction& mine) {
  int world = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &world);
  NcclRanks everybody;
  everybody.size = world;
  everybody.rank = mine.world;
  everybody.tag = ranks.tag;
  for (int r = 0; r < world; ++r) everybody.world.push_back(r);
  const Bytes word(reinterpret_cast<const char*>(&mine),
                   reinterpret_cast<const char*>(&mine) + sizeof mine);
  std::vector<Introduction> found{mine};
  for (int r = 0; r < world; ++r) {
    if (r != mine.world) everybody.send(r, word);
  }
  while (static_cast<int>(found.size()) < ranks.size) {
    if (ranks.aborted) return ncclInternalError;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    // One message of each: what follows on this tag may already be an operation's.
    int there = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, ranks.tag, MPI_COMM_WORLD, &there, &status);
    if (!there) continue;
    Introduction other;
    MPI_Recv(&other, sizeof other, MPI_BYTE, status.MPI_SOURCE, ranks.tag, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    found.push_back(other);
  }
  ranks.world.assign(static_cast<std::size_t>(ranks.size), -1);
  for (const Introduction& a : found) {
    ranks.world[static_cast<std::size_t>(a.rank)] = a.world;
    for (const Introduction& b : found) {
      if (a.rank != b.rank && std::strcmp(a.gpu, b.gpu) == 0)
        return ranks.fail(ncclInvalidUsage, "Duplicate GPU detected: " + std::string(a.gpu));
    }
  }
  ranks.tag = tag_from(static_cast<std::uint64_t>(ranks.tag) * 31);
  return ncclSuccess;
}

struct Choice {
  int color = 0, key = 0, rank = 0;
};

// The ranks of the caller's color; null for one of no color.
std::shared_ptr<NcclRanks> part_of(NcclRanks& ranks, const Choice& mine, const Introduction& self,
                                   const std::vector<Bytes>& all) {
  if (mine.color == NCCL_SPLIT_NOCOLOR) return nullptr;
  std::vector<Choice> members;
  for (const Bytes& bytes : all) {
    Choice other;
    std::memcpy(&other, bytes.data(), sizeof other);
    if (other.color == mine.color) members.push_back(other);
  }
  std::stable_sort(members.begin(), members.end(),
                   [](const Choice& a, const Choice& b) { return a.key < b.key; });
  auto part = std::make_shared<NcclRanks>();
  part->size = static_cast<int>(members.size());
  part->device = ranks.device;
  part->tag = tag_from((static_cast<std::uint64_t>(ranks.tag) << 20U) +
                       static_cast<std::uint64_t>(ranks.splits * 4096 + mine.color + 1));
  for (int i = 0; i < part->size; ++i) {
    const int parent = members[static_cast<std::size_t>(i)].rank;
    part->world.push_back(ranks.world[static_cast<std::size_t>(parent)]);
    if (part->world.back() == self.world) part->rank = i;
  }
  return part;
}

// Greets the ranks that the calls need, with the mutex held; whether all have greeted in return.
bool connect(NcclRanks& ranks, const std::vector<NcclCall>& calls) {
  for (const NcclCall& call : calls) ranks.greet(call);
  ranks.pump();
  return std::all_of(calls.begin(), calls.end(),
                     [&](const NcclCall& call) { return ranks.connected(call); });
}

void wait_until(const std::function<bool()>& done) {
  while (!done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

bool is_idle(const NcclRanks& ranks) { return ranks.under_way == 0 && ranks.captured == 0; }

// ---- groups of calls ----------------------------------------------------------------------------

struct Queued {
  std::shared_ptr<NcclRanks> ranks;
  cudaStream_t stream;
  std::vector<NcclCall> calls;
};
thread_local int group_depth = 0;
thread_local std::vector<Queued> group_calls;

ncclResult_t flush() {
  ncclResult_t result = ncclSuccess;
  for (Queued& q : std::exchange(group_calls, {})) {
    if (q.ranks->blocking) {
      const auto connected = [&] {
        const std::lock_guard lock(q.ranks->mutex);
        return connect(*q.ranks, q.calls);
      };
      while (!connected()) std::this_thread::sleep_for(std::chrono::microseconds(200));
      if (const ncclResult_t code = launch(q.ranks, std::move(q.calls), q.stream)) result = code;
      continue;
    }
    const std::lock_guard lock(q.ranks->mutex);
    q.ranks->connecting = q.calls;
    q.ranks->waiting = [ranks = q.ranks.get(), calls = q.calls, stream = q.stream] {
      return launch(ranks->shared_from_this(), calls, stream);
    };
    q.ranks->polls_left = kPolls;
    q.ranks->state = ncclInProgress;
    result = ncclInProgress;
  }
  return result;
}

ncclResult_t check_memory(NcclRanks& ranks, const void* p, std::size_t bytes) {
  DeviceMemory& memory = DeviceMemory::instance();
  if (!memory.holds(p, bytes) || memory.device_of(p) != ranks.device)
    return ranks.fail(ncclInvalidArgument, "a buffer is not memory of the communicator's device");
  return ncclSuccess;
}

ncclResult_t add(ncclComm_t comm, const NcclCall& call, cudaStream_t stream) {
  const std::shared_ptr<NcclRanks> ranks = ranks_of(comm);
  if (ranks->state == ncclInProgress)
    return ranks->fail(ncclInvalidArgument, "the call before is still in progress");
  if (ranks->state != ncclSuccess) return ranks->state;
  if (ranks->finalizing) return ranks->fail(ncclInvalidUsage, "the communicator was finalized");
  if (call.type < 0 || call.type >= ncclNumTypes || call.op < 0 || call.op >= ncclNumOps)
    return ranks->fail(ncclInvalidArgument, "unknown type or operation");
  if (call.peer < 0 || call.peer >= ranks->size)
    return ranks->fail(ncclInvalidArgument, "there is no rank " + std::to_string(call.peer));
  const std::size_t bytes = call.count * size_of(call.type);
  const auto all = static_cast<std::size_t>(ranks->size);
  using Kind = NcclCall::Kind;
  const bool reads =
      call.kind != Kind::receive && (call.kind != Kind::broadcast || call.peer == ranks->rank);
  if (reads) {
    const std::size_t blocks = call.kind == Kind::reduce_scatter ? all : 1;
    if (const ncclResult_t e = check_memory(*ranks, call.from, bytes * blocks)) return e;
  }
  if (call.kind != Kind::send) {
    const std::size_t blocks = call.kind == Kind::all_gather ? all : 1;
    if (const ncclResult_t e = check_memory(*ranks, call.to, bytes * blocks)) return e;
  }
  auto queue = std::find_if(group_calls.begin(), group_calls.end(),
                            [&](const Queued& q) { return q.ranks == ranks; });
  if (queue == group_calls.end())
    queue = group_calls.insert(queue, {.ranks = ranks, .stream = stream, .calls = {}});
  if (queue->stream != stream)
    return ranks->fail(ncclInvalidUsage, "calls of a group are put into different streams");
  queue->calls.push_back(call);
  return group_depth > 0 ? ncclSuccess : flush();
}

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  const char* wanted = std::getenv("CUDA_EMULATOR_NCCL_VERSION");
  *version = wanted == nullptr ? NCCL_VERSION_CODE : std::atoi(wanted);
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::random_device random;
  for (char& c : id->internal) c = static_cast<char>(random());
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  static constexpr const char* kTexts[ncclNumResults] = {
      "no error",
      "unhandled cuda error",
      "unhandled system error",
      "internal error",
      "invalid argument",
      "invalid usage",
      "remote process exited or there was a network error",
      "NCCL operation in progress"};
  return kTexts[result];
}

const char* ncclGetLastError(ncclComm_t comm) {
  if (comm == nullptr) return "";
  const std::shared_ptr<NcclRanks> ranks = ranks_of(comm);
  const std::lock_guard lock(ranks->mutex);
  return ranks->last_error.c_str();
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (size < 1 || rank < 0 || rank >= size) return ncclInvalidArgument;
  std::uint64_t seed = 0;
  for (const char c : id.internal) seed = seed * 1099511628211U + static_cast<unsigned char>(c);
  auto ranks = std::make_shared<NcclRanks>();
  ranks->rank = rank;
  ranks->size = size;
  ranks->device = current_device();
  ranks->tag = tag_from(seed);
  ranks->blocking = is_blocking(config);
  *comm = make_handle(ranks);
  return in_background(
      ranks, [ranks, mine = introduction_of(*ranks)] { return find_ranks(*ranks, mine); });
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* part,
                           ncclConfig_t* config) {
  const std::shared_ptr<NcclRanks> ranks = ranks_of(comm);
  if (ranks->state != ncclSuccess)
    return ranks->fail(ncclInvalidArgument, "the call before is still in progress");
  if (ranks->under_way > 0)
    return ranks->fail(ncclInvalidUsage, "a split while operations are under way");
  if (color < 0 && color != NCCL_SPLIT_NOCOLOR) return ncclInvalidArgument;
  *part = nullptr;
  ++ranks->splits;
  const Choice mine{.color = color, .key = key, .rank = ranks->rank};
  const bool blocking = config == nullptr ? ranks->blocking : is_blocking(config);
  return in_background(ranks, [=, self = introduction_of(*ranks)] {
    std::vector<Bytes> all;
    const char* begin = reinterpret_cast<const char*>(&mine);
    if (!exchange(*ranks, Bytes(begin, begin + sizeof mine), all)) return ncclInternalError;
    if (std::shared_ptr<NcclRanks> members = part_of(*ranks, mine, self, all)) {
      members->blocking = blocking;
      *part = make_handle(std::move(members));
    }
    return ncclSuccess;
  });
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  const std::shared_ptr<NcclRanks> ranks = ranks_of(comm);
  std::function<ncclResult_t()> due;
  {
    const std::lock_guard lock(ranks->mutex);
    if (ranks->waiting && --ranks->polls_left <= 0 && connect(*ranks, ranks->connecting))
      due = std::exchange(ranks->waiting, {});
  }
  if (due) {
    ranks->state = ncclSuccess;
    if (const ncclResult_t code = due()) ranks->state = code;
  }
  if (ranks->finalizing && ranks->state == ncclInProgress && is_idle(*ranks))
    ranks->state = ncclSuccess;
  *error = ranks->state;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const std::shared_ptr<NcclRanks> ranks = ranks_of(comm);
  if (ranks->state != ncclSuccess) return ranks->fail(ncclInvalidUsage, "not settled");
  ranks->finalizing = true;
  if (is_idle(*ranks)) return ncclSuccess;
  ranks->state = ncclInProgress;
  if (!ranks->blocking) return ncclInProgress;
  wait_until([&] { return is_idle(*ranks); });
  ranks->state = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  const std::shared_ptr<NcclRanks> ranks = ranks_of(comm);
  if (ranks->under_way > 0) fail("NCCL: a communicator is destroyed while its operations run");
  wait_until([&] { return ranks->captured == 0; });
  forget(comm);
  return ncclSuccess;
}

// What is under way here ends at once. Then the memory is freed, as cudaFree() does it: after all
// work of the device, which includes that of other communicators.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  const std::shared_ptr<NcclRanks> ranks = ranks_of(comm);
  ranks->aborted = true;
  wait_until([&] { return !ranks->working && ranks->captured == 0; });
  run_everything();
  forget(comm);
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return add(comm, {NcclCall::Kind::all_reduce, from, to, count, type, op}, stream);
}

ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return add(comm, {NcclCall::Kind::reduce_scatter, from, to, count, type, op}, stream);
}

ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return add(comm, {NcclCall::Kind::all_gather, from, to, count, type}, stream);
}

ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  return add(comm, {NcclCall::Kind::broadcast, from, to, count, type, ncclSum, root}, stream);
}

ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return add(comm, {NcclCall::Kind::send, from, nullptr, count, type, ncclSum, peer}, stream);
}

ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return add(comm, {NcclCall::Kind::receive, nullptr, to, count, type, ncclSum, peer}, stream);
}

ncclResult_t ncclGroupStart() {
  ++group_depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group_depth == 0) return ncclInvalidUsage;
  return --group_depth > 0 ? ncclSuccess : flush();
}
