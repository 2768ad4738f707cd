// Communicator: one process group; every rank of it makes the same calls in the same order.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor/tensor.hpp"
#include "parallel/background_reducer.hpp"
#include "parallel/shared_memory.hpp"

namespace weft {

enum class ReduceOp { sum, max, min };

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Tensors may be of any dtype unless stated otherwise, and on the host or on this rank's GPU, but
  // all of a call, on all ranks, on the same kind of device. Those of no elements are let through.
  // On the host a call returns when the result is there. On a GPU a call is one more piece of work
  // of the compute stream: it takes what was issued before, its result is there for what is issued
  // later, and the host does not wait for it. It does where a communicator stages through host
  // memory, and in NCCL's first calls, which connect the ranks: until all of them have come so far.
  // A failed call throws Error naming the operation, the rank, the shape and the dtype; what fails
  // on a GPU after its call has returned is thrown by the next call, whichever it is.

  // In place; the same bits on every rank. f32, f64, i32; bf16 and f16 are reduced in f32 and
  // rounded once, but by NCCL in a chain of sums that are each rounded.
  virtual void all_reduce(Tensor& x, ReduceOp op) = 0;
  // out holds size() blocks of x, in rank order (along dim 0).
  virtual void all_gather(Tensor& out, const Tensor& x) = 0;
  // out is this rank's block of the sum of x over ranks; x holds size() blocks. dtypes as
  // all_reduce.
  virtual void reduce_scatter(Tensor& out, const Tensor& x) = 0;
  virtual void broadcast(Tensor& x, int root) = 0;
  // Messages between two ranks arrive in the order in which they were sent, and are received so:
  // NCCL does not look at tags.
  virtual void send(const Tensor& x, int to, int tag = 0) = 0;
  virtual void receive(Tensor& x, int from, int tag = 0) = 0;
  // Of what `calls` does, NCCL makes one piece of work of all operations on tensors of a GPU, which
  // so cost less when they are small: behind all else that `calls` issues, and in no order among
  // themselves, so that none may need another's result. When `calls` throws, it does none of them.
  // Other communicators do each as it comes.
  virtual void grouped(const std::function<void()>& calls) { calls(); }
  virtual void barrier() = 0;
  // Throws what has failed on a GPU since its call has returned. Neither sends nor waits. After a
  // failure tensors hold anything: before the use of what the host has waited for.
  virtual void rethrow_failure() const {}

  // Whether what is called for tensors on a GPU is work of its streams alone, which a graph can
  // capture and do again.
  virtual bool capturable() const { return size() == 1; }
  // A graph with captured operations was launched: from now on it has the time of one operation.
  virtual void watch_replay() {}

  // Control plane: small host values, whatever the device.
  virtual double all_reduce(double x, ReduceOp op) = 0;
  virtual void all_reduce(std::span<std::int64_t> x, ReduceOp op) = 0;  // in place
  std::int64_t all_reduce(std::int64_t x, ReduceOp op) {
    all_reduce(std::span(&x, 1), op);
    return x;
  }
  virtual std::string broadcast(const std::string& s, int root) = 0;

  // Sums tensors of `device` while the caller computes on. Collective over this group; messages do
  // not mix with those of this communicator.
  virtual std::unique_ptr<BackgroundReducer> background_reducer(Device device) const;

  // Memory of zeros that all ranks of this group have mapped; null on all of them when they cannot
  // share so much, or any, as on several hosts. Collective.
  virtual std::unique_ptr<SharedMemory> common_memory(std::size_t) { return nullptr; }

  // Tells `word` to the other ranks, and returns what each rank told within the time, "" for those
  // that did not call: to find out who is missing when something does not come to an end. Returns
  // as soon as all were heard. Once for each communicator; words are short.
  virtual std::vector<std::string> roll_call(const std::string& word,
                                             std::chrono::milliseconds time) = 0;

  // Ranks with one color form a group, ordered by key. Collective over this group.
  virtual std::unique_ptr<Communicator> split(int color, int key) const = 0;
  // The same ranks with an own message space: for a second thread. Its tensors are on the host, for
  // the compute stream takes the work of all threads in one order, which must be that of all ranks.
  std::unique_ptr<Communicator> duplicate() const { return split(0, rank()); }
};

std::unique_ptr<Communicator> self_communicator();

struct MpiOptions {
  // Ranks of one host reduce host tensors through memory that they share. If some cannot, all goes
  // through MPI; rank 0 then calls this with the reason before mpi_communicator() returns. Rank 0
  // of a group calls it, too, when there is less than common_memory() or a reduction asks for: it
  // lives as long as the communicator.
  std::function<void(const std::string&)> on_no_shared_memory = {};
  bool share_memory = true;
  std::size_t chunk_bytes = std::size_t{256}
                            << 10;  // of what is reduced there; see StagedReduction
  // Ranks that say different things here are taken to be on different hosts: for tests.
  std::string host = {};
};

// All ranks that mpirun or srun started; collective. MPI must be initialised (launch/process does
// it).
std::unique_ptr<Communicator> mpi_communicator(const MpiOptions& options = {});

}  // namespace weft
