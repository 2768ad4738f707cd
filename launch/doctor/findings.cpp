// What was built in and what was found.
#include "launch/doctor/findings.hpp"

#include <fmt/format.h>
#include <omp.h>

#include "core/backend/cuda.hpp"
#include "core/base/plural.hpp"
#include "launch/doctor/machine.hpp"
#include "launch/process.hpp"
#include "launch/version.hpp"
#include "parallel/nccl_communicator.hpp"

namespace weft {

namespace {

double gigabytes(double bytes) { return bytes * 1e-9; }

void add_machine(std::vector<Finding>& list) {
  const Machine m = this_machine();
  list.push_back(
      {.name = "CPU",
       .text = fmt::format(
           "{}, {}, {} of this process; {}", m.processor, counted(m.cores, "core"),
           counted(omp_get_max_threads(), "thread"),
           m.instructions.empty() ? "no AVX2" : fmt::format("{}", fmt::join(m.instructions, ", "))),
       .values = {{"processor", m.processor},
                  {"cores", m.cores},
                  {"threads", omp_get_max_threads()},
                  {"instructions", m.instructions}}});
  list.push_back(
      {.name = "memory",
       .text = fmt::format("{:.1f} GB, {:.1f} GB free", gigabytes(static_cast<double>(m.memory)),
                           gigabytes(static_cast<double>(m.free_memory))),
       .values = {{"bytes", m.memory}, {"free_bytes", m.free_memory}}});
}

void add_libraries(std::vector<Finding>& list) {
  const BuildVersions built = build_versions();
  list.push_back({.name = "oneDNN", .text = built.onednn, .values = {{"version", built.onednn}}});
  const LaunchedRank& rank = launched_rank();
  const std::string started = rank.launcher.empty()
                                  ? "started alone"
                                  : counted(rank.ranks, "rank") + " by " + rank.launcher;
  list.push_back(
      {.name = "MPI",
       .text = fmt::format("{}; {}", built.mpi, started),
       .values = {{"version", built.mpi}, {"launcher", rank.launcher}, {"ranks", rank.ranks}}});
}

// A library of the CUDA build: there, or to be had by building anew.
void add_built(std::vector<Finding>& list, const std::string& name, const std::string& version) {
  Finding finding{.name = name, .text = version, .values = {{"version", version}}};
  if (version.empty()) {
    finding.missing = "not in this build";
    finding.hint = "docs/cuda.md says how to build for GPUs: cmake --preset cuda";
  }
  list.push_back(finding);
}

void add_gpus(std::vector<Finding>& list, const CudaReport& report) {
  for (std::size_t i = 0; i < report.gpus.size(); ++i) {
    const Gpu& gpu = report.gpus[i];
    const auto memory = static_cast<double>(gpu.memory);
    list.push_back({.name = fmt::format("GPU {}", i),
                    .text = fmt::format("{}, compute capability {}.{}, {:.1f} GB", gpu.name,
                                        gpu.major, gpu.minor, gigabytes(memory)),
                    .values = {{"index", i},
                               {"gpu", gpu.name},
                               {"compute_capability", fmt::format("{}.{}", gpu.major, gpu.minor)},
                               {"bytes", gpu.memory},
                               {"multiprocessors", gpu.multiprocessors}}});
  }
  if (!report.problem.empty()) {
    list.push_back({.name = "GPU", .text = {}, .missing = report.problem, .hint = report.hint});
  }
}

}  // namespace

std::vector<Finding> findings() {
  const BuildVersions built = build_versions();
  std::vector<Finding> list;
  list.push_back({.name = "Weft",
                  .text = fmt::format("{}, {}", version(), built.compiler),
                  .values = {{"version", version()}, {"compiler", built.compiler}}});
  add_machine(list);
  add_libraries(list);
  const CudaReport cuda = cuda_report();
  add_built(list, "CUDA", cuda.runtime);
  if (cuda.built) {
    add_built(list, "cuBLASLt", cuda.cublaslt);
    add_built(list, "cuDNN", cuda.cudnn);
    add_built(list, "NCCL", nccl_version());
    if (!cuda.driver.empty()) {
      list.push_back({.name = "driver",
                      .text = fmt::format("for CUDA up to {}", cuda.driver),
                      .values = {{"cuda", cuda.driver}}});
    }
    add_gpus(list, cuda);
  }
  return list;
}

}  // namespace weft
