// Communicator: one process group; every rank of it makes the same calls in the same order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/tensor/tensor.hpp"

namespace weft {

enum class ReduceOp { sum, max, min };

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // All calls block until the result is there, and take host tensors of any dtype unless stated
  // otherwise. Tensors of no elements are let through. A failed call throws Error naming the
  // operation, the rank, the shape and the dtype.

  // In place; the same bits on every rank. f32, f64, i32; bf16 and f16 are reduced in f32 and
  // rounded once.
  virtual void all_reduce(Tensor& x, ReduceOp op) = 0;
  // out holds size() blocks of x, in rank order (along dim 0).
  virtual void all_gather(Tensor& out, const Tensor& x) = 0;
  // out is this rank's block of the sum of x over ranks; x holds size() blocks. dtypes as
  // all_reduce.
  virtual void reduce_scatter(Tensor& out, const Tensor& x) = 0;
  virtual void broadcast(Tensor& x, int root) = 0;
  virtual void send(const Tensor& x, int to, int tag = 0) = 0;
  virtual void receive(Tensor& x, int from, int tag = 0) = 0;
  virtual void barrier() = 0;

  // Control plane: small host values, whatever the device.
  virtual double all_reduce(double x, ReduceOp op) = 0;
  virtual void all_reduce(std::span<std::int64_t> x, ReduceOp op) = 0;  // in place
  std::int64_t all_reduce(std::int64_t x, ReduceOp op) {
    all_reduce(std::span(&x, 1), op);
    return x;
  }
  virtual std::string broadcast(const std::string& s, int root) = 0;

  // Ranks with one color form a group, ordered by key. Collective over this group.
  virtual std::unique_ptr<Communicator> split(int color, int key) const = 0;
  // The same ranks with an own message space: for a second thread.
  std::unique_ptr<Communicator> duplicate() const { return split(0, rank()); }
};

std::unique_ptr<Communicator> self_communicator();
// All ranks that mpirun or srun started. MPI must be initialised (launch/process does it).
std::unique_ptr<Communicator> mpi_communicator();

}  // namespace weft
