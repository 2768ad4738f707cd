// What this binary was built with; CMake defines the WEFT_* values for this file alone.
#include "launch/version.hpp"

#include <fmt/format.h>
#include <mpi.h>

#include "core/backend/cuda.hpp"
#include "parallel/nccl_communicator.hpp"

namespace weft {

namespace {
// "Open MPI v4.1.4"; may be asked before MPI is up.
std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string full(text, static_cast<std::size_t>(length));
  return full.substr(0, full.find_first_of(",\n"));
}
}  // namespace

std::string version() { return WEFT_VERSION; }

BuildVersions build_versions() {
  return {.compiler = WEFT_COMPILER " (" WEFT_BUILD_TYPE ", " WEFT_ARCH_NAME ")",
          .onednn = WEFT_DNNL_VERSION,
          .mpi = mpi_version(),
          .openmp = WEFT_OPENMP_VERSION};
}

std::string version_text() {
  const BuildVersions built = build_versions();
  std::string text = "weft " + version() + "\n";
  const auto add = [&](const char* name, const std::string& what) {
    text += fmt::format("  {:<9} {}\n", name, what);
  };
  add("compiler", built.compiler);
  add("oneDNN", built.onednn);
  add("MPI", built.mpi);
  add("OpenMP", built.openmp);
  const CudaReport cuda = cuda_report();
  if (!cuda.built) {
    add("CUDA", "no");
    return text;
  }
  add("CUDA", fmt::format("{}, cuBLASLt {}, cuDNN {}, NCCL {}", cuda.runtime, cuda.cublaslt,
                          cuda.cudnn, nccl_version()));
  for (const Gpu& gpu : cuda.gpus) {
    add("GPU", fmt::format("{}, compute capability {}.{}", gpu.name, gpu.major, gpu.minor));
  }
  if (!cuda.problem.empty()) add("GPU", "none: " + cuda.problem + " (weft doctor says more)");
  return text;
}

}  // namespace weft
