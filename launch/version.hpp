// What this binary was built with, and the GPUs it finds.
#pragma once

#include <string>

namespace weft {

struct BuildVersions {
  std::string compiler, onednn, mpi, openmp;
};
BuildVersions build_versions();

std::string version();       // "0.1.0"
std::string version_text();  // what `weft --version` prints

}  // namespace weft
