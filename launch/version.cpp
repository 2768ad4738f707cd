// What this binary was built with; CMake defines the WEFT_* values for this file alone.
#include "launch/version.hpp"

#include <mpi.h>

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

std::string version_text() {
  return "weft " WEFT_VERSION
         "\n"
         "  compiler  " WEFT_COMPILER " (" WEFT_BUILD_TYPE ", " WEFT_ARCH_NAME
         ")\n"
         "  oneDNN    " WEFT_DNNL_VERSION
         "\n"
         "  MPI       " +
         mpi_version() +
         "\n"
         "  OpenMP    " WEFT_OPENMP_VERSION
         "\n"
         "  CUDA      no\n";
}

}  // namespace weft
