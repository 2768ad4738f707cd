// Which device each rank computes on, and how the ranks exchange what lies there.
#pragma once

#include <memory>
#include <string>

#include "core/tensor/device.hpp"
#include "launch/config/config.hpp"
#include "launch/console.hpp"
#include "launch/process.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// What --device says for one rank of a host: auto is a GPU when there is one. The ranks of a host
// take its GPUs in turn; a rank that sees one GPU only, as under srun --gpus-per-task=1, takes
// that. Throws InputError when `wanted` is cuda and there are none.
Device choose_device(const std::string& wanted, const LaunchedRank& rank, int gpus);

// Throws InputError, which names the key and its place, when `device` does not compute in the
// precision of the configuration.
void check_precision(const Config& config, Device device);

// Makes `device` this process's current one: before MPI is up, so that an MPI library that knows
// CUDA opens no other. Throws Error when the GPU cannot be used.
void open_device(Device device);

// All ranks, by MPI; this process alone when no launcher started it. With a console, rank 0 warns
// when ranks of one host cannot share memory.
std::unique_ptr<Communicator> host_communicator(const Console* console = nullptr);

// The ranks of `host`, connected for tensors of their devices: by NCCL, or through host memory
// where ranks share a GPU, with a warning. Collective. Throws AgreedInputError when some ranks
// compute on GPUs and others do not.
std::unique_ptr<Communicator> connect_devices(std::unique_ptr<Communicator> host, Device device,
                                              const Console& console);

}  // namespace weft
