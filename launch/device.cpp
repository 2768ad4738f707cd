// Which device each rank computes on.
#include "launch/device.hpp"

#include <utility>

#include "core/backend/cuda.hpp"
#include "core/base/error.hpp"
#include "launch/cli.hpp"
#include "launch/failure.hpp"
#include "parallel/agree.hpp"
#include "parallel/nccl_communicator.hpp"

namespace weft {

namespace {

void check_same_kind(Communicator& host, Device device) {
  const bool on_gpu = device.type == DeviceType::cuda;
  const bool others_have_gpus = host.all_reduce(std::int64_t{on_gpu}, ReduceOp::max) != 0;
  agree(host, [&] {
    if (on_gpu || !others_have_gpus) return;
    throw InputError(
        "no GPU here, but other ranks have one: " + cuda_report().problem,
        "weft doctor on that host says more; --device cpu computes on CPUs everywhere");
  });
}

}  // namespace

void check_precision(const Config& config, Device device) {
  if (config.train.precision != DType::f16 || device.type != DeviceType::cpu) return;
  throw InputError(
      config.named("train.precision") + ": fp16 is not possible: CPUs do not compute in it",
      "use fp32 or bf16, or a GPU");
}

Device choose_device(const std::string& wanted, const LaunchedRank& rank, int gpus) {
  if (wanted == "cpu" || (wanted == "auto" && gpus == 0)) return {};
  if (gpus == 0) {
    const CudaReport report = cuda_report();
    throw InputError("--device cuda: " + report.problem, report.hint);
  }
  return {DeviceType::cuda, rank.local_rank % gpus};
}

void open_device(Device device) { backend(device); }

std::unique_ptr<Communicator> host_communicator(const Console* console) {
  if (launched_rank().launcher.empty()) return self_communicator();
  return mpi_communicator({.on_no_shared_memory = [console](const std::string& reason) {
    if (console == nullptr) return;
    console->warn("ranks of one host share less than they could, which is slower: " + reason);
  }});
}

std::unique_ptr<Communicator> connect_devices(std::unique_ptr<Communicator> host, Device device,
                                              const Console& console) {
  check_same_kind(*host, device);
  if (device.type == DeviceType::cpu) return host;
  return nccl_communicator(
      std::move(host), device,
      {.on_shared_gpu = [&](const std::string& warning) { console.warn(warning); },
       .on_unnoticed_failure = [](const Error& failure) { end_ranks(failure, kFailed); }});
}

}  // namespace weft
