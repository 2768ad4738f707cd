// One order for the operations of all NCCL communicators of a GPU.
#pragma once

#include "core/backend/cuda/runtime.hpp"

namespace weft {

// Kernels of NCCL hold multiprocessors until those of the other ranks have come. Two communicators'
// that come in another order on another rank can so keep each other away for ever; NCCL wants the
// same order of all of them on all ranks, and makes it of the order of the calls from 2.26 on, when
// NCCL_LAUNCH_ORDER_IMPLICIT asks for it (guide, "Using multiple NCCL communicators concurrently").
// Where NCCL does not, each operation is made to follow the one before, on whichever stream.
class NcclOrder {
 public:
  // Before NCCL is used, as it reads its variables once. Sets the variable unless the user has.
  NcclOrder();

  // Around a call that puts operations on a stream. Calls come from one thread, in the same order
  // on all ranks.
  void before(cudaStream_t stream);
  void after(cudaStream_t stream);

 private:
  const bool by_nccl_;
  bool any_ = false;
  unsigned long long capture_ = 0;  // that the last one is part of; 0: none
  CudaEvent last_;
};

// The capture that a stream is part of, 0 for none.
unsigned long long capture_of(cudaStream_t stream);

}  // namespace weft
