// Faults of the network, planted into the emulator's NCCL by tests.
#pragma once

namespace cuda_emulator {

enum class NcclFault {
  hang,          // this rank's part of the operation never begins
  remote_error,  // the same, and the communicator tells ncclRemoteError
};

// Strikes the next operation that this rank issues.
void plant_nccl_fault(NcclFault fault);

}  // namespace cuda_emulator
